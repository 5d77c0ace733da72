"""Reference conformers from a SMILES: starts, relaxation by a (semi-)quantum method, checks, ensembles."""
