"""Penalties towards theta_0: one method a file."""
