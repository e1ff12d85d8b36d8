"""The mirror of a sweep in MLflow, and its UI."""
