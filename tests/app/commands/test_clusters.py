import os
import stat
from pathlib import Path

import pytest

from app.commands.clusters import BY_IDENTITY, BY_SIMILARITY, cluster_sequences
from models.errors import DataError

SEQUENCES = ["A" * 50, "G" * 50, "A" * 49 + "G", "A" * 50, "X" * 50]


@pytest.fixture
def mmseqs(tmp_path, monkeypatch):
    """Put a program of that name on the PATH, a shell script."""

    def put(script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "mmseqs"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return put


def test_without_the_program_identical_sequences_share_a_cluster(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    cluster, words = cluster_sequences(SEQUENCES)
    assert words == BY_IDENTITY
    assert cluster[0] == cluster[3] and len(set(cluster.tolist())) == 4


def test_clusters_of_the_program_are_taken(mmseqs, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    table = r"2\t2\n2\t0\n2\t3\n1\t1\n"
    mmseqs(f'echo "$@" > {tmp_path}/asked; cp "$2" {tmp_path}/fasta; printf "{table}" > "$3_cluster.tsv"')
    cluster, words = cluster_sequences(SEQUENCES)
    assert words == BY_SIMILARITY
    assert cluster[0] == cluster[2] == cluster[3]
    assert len({*cluster.tolist()}) == 3  # what the program does not name is alone
    assert Path(tmp_path / "fasta").read_text().split() == [w for k, s in enumerate(SEQUENCES) for w in (f">{k}", s)]
    asked = Path(tmp_path / "asked").read_text().split()
    assert asked[0] == "easy-cluster" and " ".join(asked[4:]) == "--min-seq-id 0.4 -c 0.8 --cov-mode 0 -v 1"


@pytest.mark.parametrize(
    ("script", "words"), [("echo no memory >&2; exit 3", "code 3: no memory"), ("exit 0", "code 0: it says nothing")]
)
def test_program_that_fails_is_reported(mmseqs, script, words):
    mmseqs(script)
    with pytest.raises(DataError, match=words):
        cluster_sequences(SEQUENCES)
