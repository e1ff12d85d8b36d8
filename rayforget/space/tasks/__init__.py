"""What a space says of its tasks and their data."""
