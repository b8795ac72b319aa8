"""Bytes in a place: the only code that opens files."""
