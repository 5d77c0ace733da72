"""Reading of one text: an untrusted SMILES or mol block to molecules, or to the reason why not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.intake.job import Job, Loss
from models.data.elements import MAX_ATOMS

if TYPE_CHECKING:
    from models.structure import Molecule

_MANY_RINGS = 12
_LITTLE = 0.25
_LOOKED_AT = 2_000  # characters
_BRACKET, _CLOSURE = re.compile(r"\[[^\]]*\]"), re.compile(r"%\d\d|\d")  # of a SMILES
_COUNTS = re.compile(r"(?m)^(?:([ \d]{2}\d)([ \d]{2}\d).*V2000|M  V30 COUNTS +(\d{1,9}) +(\d{1,9}) )")  # of a mol block


@dataclass(frozen=True)
class Refusal:
    """Why a text was not accepted: a stable word and a sentence."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Reading(Job["list[Molecule] | Refusal"]):
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

    @property
    def patience(self) -> float:
        """More stereoisomers may take longer; a text with many rings gets little time.

        RDKit reads it in milliseconds or, where rings share bonds in many ways, in hours.
        """
        if self.rings > _MANY_RINGS:
            return _LITTLE
        return max(1.0, self.enumerate_up_to / 2)

    @property
    def rough_atoms(self) -> int:
        """About how many atoms it has with hydrogens, by a look at the text: as many as two for each heavy one."""
        if self.kind == "smiles":
            return min(2 * sum(letter.isalpha() for letter in self.text[:_LOOKED_AT]), MAX_ATOMS)
        return min(self.text.count("\n"), MAX_ATOMS)  # one line for each atom and each bond

    @property
    def rings(self) -> int:
        """Number of rings by a look at the text, which needs no chemistry."""
        text = self.text[:_LOOKED_AT]
        if self.kind == "smiles":
            return len(_CLOSURE.findall(_BRACKET.sub("", text))) // 2
        counts = _COUNTS.search(text)
        if counts is None:
            return 0
        atoms, bonds = (int(number) for number in counts.groups() if number is not None)
        return bonds - atoms + 1

    def run(self) -> list[Molecule] | Refusal:
        """The molecules of the text."""
        from rdkit.Chem import MolToMolBlock

        from models.data.molecule import build_molecules, read_molblock, read_smiles
        from models.errors import MoleculeError

        try:
            mol = {"smiles": read_smiles, "molblock": read_molblock}[self.kind](self.text, self.name)
            molecules = build_molecules(mol, self.seed, self.enumerate_up_to)
        except MoleculeError as error:
            return Refusal(error.reason, str(error))
        for molecule in molecules:
            MolToMolBlock(molecule.mol)  # what takes too long to write must be found out where it can be killed
        return molecules

    def lost(self, loss: Loss) -> Refusal:
        """The refusal in place of the molecules."""
        if loss.reason == "unavailable":
            return Refusal("intake_unavailable", "the process that reads molecules did not start; try again")
        if loss.reason == "error":
            return Refusal("unreadable", f"the input cannot be read: {loss.detail}")
        if loss.reason == "died":
            return Refusal("too_complex", "reading the input ended its process; simplify the molecule")
        if loss.reason == "memory":
            return Refusal("too_complex", f"reading the input took more than {loss.detail} of memory")
        advice = "simplify the molecule"
        if self.enumerate_up_to > 1:
            advice = "specify more of its stereo, or ask for fewer stereoisomers"
        return Refusal("too_complex", f"reading the input took more than {loss.detail}; {advice}")
