"""What there is to sample: a SMILES, a file of them, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from models.errors import MoleculeError


def read_source(source: str) -> list[tuple[str, str, str]]:
    """Texts to read, as (form, text, name): a SMILES, a .smi or .sdf file, or `-` for SMILES on standard input.

    Raises:
        MoleculeError: The file is missing or holds nothing.
    """
    path = Path(source)
    if source == "-":
        entries = list(_smiles_lines(sys.stdin.read()))
    elif path.suffix.lower() in (".smi", ".smiles", ".txt", ".sdf", ".sd", ".mol"):
        if not _is_file(path):
            raise MoleculeError(f"no file at {source}; give a SMILES, a .smi or .sdf file, or - for standard input")
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        entries = list(_blocks(text) if path.suffix.lower() in (".sdf", ".sd", ".mol") else _smiles_lines(text))
    elif _is_file(path):
        raise MoleculeError(f"{source} has an unknown extension; allowed: .smi .smiles .txt .sdf .sd .mol")
    else:
        entries = [("smiles", source, "")]
    if not entries:
        raise MoleculeError(f"{source} holds no molecule", reason="empty_input")
    return [(form, text, name or f"molecule-{k + 1}") for k, (form, text, name) in enumerate(entries)]


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a long SMILES cannot even be a name."""
    try:
        return path.is_file()
    except OSError:
        return False


def _smiles_lines(text: str) -> Iterator[tuple[str, str, str]]:
    """Lines of `SMILES name`; blank lines and those that begin with # are skipped."""
    for line in text.splitlines():
        words = line.split(maxsplit=1)
        if words and not line.startswith("#"):
            yield "smiles", words[0], words[1].strip() if len(words) > 1 else ""


def _blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Records of an SDF; the first line of each is its name."""
    for record in text.replace("\r\n", "\n").split("$$$$\n"):
        if record.strip():
            yield "molblock", record, record.split("\n", 1)[0].strip()
