"""Measure protein backbones beside natural ones of the same lengths."""
