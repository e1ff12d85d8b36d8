"""What ships with rayforget so that it runs on nothing else: a drawn image world and a tiny CLIP that has seen it."""
