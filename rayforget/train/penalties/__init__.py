"""Penalties towards theta_0, one method per file."""
