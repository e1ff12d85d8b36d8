"""A drawn image world, and a tiny CLIP that has seen it."""
