"""The space file: YAML read, located, explained; variables and overrides."""
