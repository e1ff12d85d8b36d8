"""The user's YAML file, read into checked and frozen objects."""
