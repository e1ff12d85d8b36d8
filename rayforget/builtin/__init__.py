"""What ships with rayforget so that it runs on nothing else: two generated worlds, each with a tiny model of it."""
