"""What other packages bring: registries of names, loading, and what is missing."""
