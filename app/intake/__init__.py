"""Untrusted chemistry in, checked records out."""
