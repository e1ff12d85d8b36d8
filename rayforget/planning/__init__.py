"""A checked space to what running it would take."""
