"""The child process that reads molecules: one request in, one answer out, forever.

RDKit can take minutes or gigabytes on a short text, or crash.  Here it can be killed without harm.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection


@dataclass(frozen=True)
class Reading:
    """One text to read.

    Attributes:
        kind: `smiles` or `molblock`.
        text: The input.
        name: The caller's name for it.
        seed: Chooses a stereoisomer where the input leaves one open.
        enumerate_up_to: Above 1, all stereoisomers up to this many.
    """

    kind: str
    text: str
    name: str
    seed: int
    enumerate_up_to: int = 1


@dataclass(frozen=True)
class Refusal:
    """Why a text was not accepted: a stable word and a sentence."""

    reason: str
    detail: str


def work(connection: Connection, memory_mb: int) -> None:
    """Body of the child.  Says `None` once it is ready; then answers each `Reading`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each thread would reserve address space
    size = memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from rdkit.Chem import MolToMolBlock

    from models.data.molecule import build_molecules, read_molblock, read_smiles
    from models.errors import MoleculeError

    logging.getLogger("rdkit").handlers.clear()  # its words go into the refusals
    readers = {"smiles": read_smiles, "molblock": read_molblock}
    connection.send(None)
    while True:
        try:
            reading: Reading = connection.recv()
        except EOFError:
            return
        try:
            mol = readers[reading.kind](reading.text, reading.name)
            molecules = build_molecules(mol, reading.seed, reading.enumerate_up_to)
            for molecule in molecules:
                MolToMolBlock(molecule.mol)  # what takes too long to write must be found out where it can be killed
            answer: object = molecules
        except MoleculeError as error:
            answer = Refusal(error.reason, str(error))
        except MemoryError:
            answer = Refusal("too_complex", f"reading the input took more than {memory_mb} MB of memory")
        except Exception as error:  # a bug in a reader must not cost the neighbours their process
            answer = Refusal("unreadable", f"the input cannot be read: {type(error).__name__}: {str(error)[:200]}")
        connection.send(answer)
