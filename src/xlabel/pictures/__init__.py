"""Decoded pictures, by Pillow: hashed, compared, found again and drawn on. docs/design.md has the modules."""
