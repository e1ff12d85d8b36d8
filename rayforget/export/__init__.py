"""A point of a sweep -> a model in somebody's hands: an object, a folder with its card, or a script that makes it."""
