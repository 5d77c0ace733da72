"""Clusters of similar protein sequences, by MMseqs2 where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from models.data.proteins import cluster_identical
from models.errors import DataError

PROGRAM = "mmseqs"
BY_SIMILARITY = "of 40 % sequence identity over 80 % of both (MMseqs2)"
BY_IDENTITY = f"of identical sequences, because {PROGRAM} (MMseqs2) is not on the PATH"
_OPTIONS = ("--min-seq-id", "0.4", "-c", "0.8", "--cov-mode", "0", "-v", "1")


def cluster_sequences(sequences: Sequence[str]) -> tuple[np.ndarray, str]:
    """Cluster sequences.

    Args:
        sequences: One letter for each residue.

    Returns:
        Cluster of each.  [M] int32
        What a cluster is, in words.

    Raises:
        DataError: MMseqs2 failed.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        return cluster_identical(sequences), BY_IDENTITY
    with TemporaryDirectory() as name:
        return _run(program, sequences, Path(name)), BY_SIMILARITY


def _run(program: str, sequences: Sequence[str], folder: Path) -> np.ndarray:
    """Clusters by number of their representatives; what the program leaves out is a cluster of its own."""
    fasta = folder / "sequences.fasta"
    fasta.write_text("".join(f">{k}\n{sequence}\n" for k, sequence in enumerate(sequences)))
    command = [program, "easy-cluster", str(fasta), str(folder / "out"), str(folder / "work"), *_OPTIONS]
    threads = os.environ.get("OMP_NUM_THREADS")
    done = subprocess.run([*command, *(["--threads", threads] if threads else [])], capture_output=True, text=True)
    table = folder / "out_cluster.tsv"
    if done.returncode or not table.is_file():
        words = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it says nothing"]
        raise DataError(f"{program} ended with code {done.returncode}: {words[0]:.200}")
    cluster = np.arange(len(sequences), dtype=np.int32)
    for line in table.read_text().splitlines():
        head, member = line.split("\t")
        cluster[int(member)] = int(head)
    return np.unique(cluster, return_inverse=True)[1].astype(np.int32)
