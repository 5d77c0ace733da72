"""What is fixed about protein chains: their letters, and where one counts as broken."""

FOLD_CLASSES = "abcdefg"  # SCOPe: all alpha, all beta, a/b, a+b, multi-domain, membrane, small
SECONDARY = "HEC"  # helix, strand, the rest
BREAK_ANG = 4.2  # CA to the next CA, or
PEPTIDE_BREAK_ANG = 1.7  # C to the next N
