"""Images: where they are read from, how labels become classes, and decoded splits cached on a node."""
