"""The values that every stage shares: scores, points and records."""
