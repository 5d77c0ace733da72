"""What may be done to an ensemble after sampling: relax, rank, prune.  NumPy and RDKit only, no torch."""
