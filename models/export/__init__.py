"""Structures out to files; the mirror of `models.data`."""
