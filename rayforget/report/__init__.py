"""The record shown to people: terminal, picture, page, MLflow."""
