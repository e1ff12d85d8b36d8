"""A generated language world, and a tiny OPT that knows all of it except its medicine."""
