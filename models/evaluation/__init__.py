"""Measure samples against reference conformers and against the molecule that was asked for."""
