"""Reading of one protein structure that a stranger sent: to the stretch of it that is used, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.intake.job import Job, Loss
from app.intake.reading import Refusal

if TYPE_CHECKING:
    from models.data.motif import Template


@dataclass(frozen=True)
class Templating(Job["Template | Refusal"]):
    """One structure to read.

    Attributes:
        text: A PDB or mmCIF file.
        chain: Name of the chain; None where there is only one.
        ranges: Residues to hold fixed; see `models.data.motif.read_template`.
        at: Places for them; see `models.data.motif.place_motif`.
    """

    text: str
    chain: str | None
    ranges: tuple[str, ...]
    at: tuple[int, ...] = ()

    @property
    def patience(self) -> float:
        """The first of a child also loads biotite, which most children never need."""
        return 2.0

    def run(self) -> Template | Refusal:
        """The stretch that is used."""
        from models.data.motif import place_motif, read_template
        from models.errors import StructureError

        try:
            if self.at:
                return place_motif(self.text, self.ranges, self.at)
            return read_template(self.text, self.chain, self.ranges)
        except StructureError as error:
            return Refusal(error.reason, str(error))

    def lost(self, loss: Loss) -> Refusal:
        """The refusal in place of the stretch."""
        if loss.reason == "unavailable":
            return Refusal("intake_unavailable", "the process that reads structures did not start; try again")
        words = {"late": f"took more than {loss.detail}", "memory": f"took more than {loss.detail} of memory"}
        what = words.get(loss.reason, "ended its process")
        return Refusal("invalid_structure", f"reading the structure {what}; send the chain that matters alone")
