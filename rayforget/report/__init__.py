"""Shows the record to people: terminal, picture, page, MLflow."""
