"""The plain files that are the record, on which all else is based."""
