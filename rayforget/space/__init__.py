"""What a user writes: a YAML file, read into checked and frozen objects."""
