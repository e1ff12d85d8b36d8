"""What people read of a summary: numbers, sentences, footnotes; said once for all reports."""
