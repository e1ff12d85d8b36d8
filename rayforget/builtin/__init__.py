"""The data and models that ship with rayforget: two generated worlds, each with a tiny model of it."""
