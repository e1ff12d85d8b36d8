"""What every stage speaks of: scores, points and records."""
