"""The plain files that are the record of truth."""
