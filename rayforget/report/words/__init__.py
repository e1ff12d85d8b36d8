"""The words of all reports on a summary: numbers, sentences, footnotes."""
