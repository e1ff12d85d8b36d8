"""Images: where they are read from, how labels become classes, and the decoded splits kept on a node."""
