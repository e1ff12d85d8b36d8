"""The picture of a frontier."""
