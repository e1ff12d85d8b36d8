"""Per-item results -> a score in [0, 1], higher is better, and its error; one metric per file."""
