"""What is learnt and what must not be lost."""
