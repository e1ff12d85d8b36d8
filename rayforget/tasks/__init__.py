"""The tasks: what is to be learnt and what must not be lost."""
