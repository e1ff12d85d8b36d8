"""The way from a user's machine onto a cluster: its head, a tunnel, its jobs, and what they print."""
