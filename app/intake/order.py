"""What one request asks for, checked and with nothing left open, and what becomes of each of its molecules."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from app.intake.reading import Reading, Refusal
from models.finishing.options import FinishOptions
from models.options import SampleOptions
from models.structure import Ensemble


@dataclass(frozen=True)
class Order:
    """A request that can be carried out now or later, with the same result.

    Attributes:
        model: Name of the model.
        readings: The texts of the molecules, each with its name.
        count: Conformers of each molecule.
        seed: Of the whole request; it also chooses stereo that the texts leave open.
        options: How to sample.
        finish: What to do after sampling.
        file_format: Of structures inside an answer; see `models.export.formats`, or `json`.
    """

    kind: ClassVar[str] = "conformers"
    model: str
    readings: tuple[Reading, ...]
    count: int
    seed: int
    options: SampleOptions
    finish: FinishOptions
    file_format: str = "sdf"

    @property
    def names(self) -> list[str]:
        """The caller's name for each molecule."""
        return [reading.name for reading in self.readings]

    @property
    def most_conformers(self) -> int:
        """Conformers if every molecule has as many stereoisomers as it may."""
        return self.count * sum(reading.enumerate_up_to for reading in self.readings)

    @property
    def head(self) -> dict[str, Any]:
        """What an answer says of the whole request, plain JSON values."""
        return {"model": self.model, "seed": self.seed, "sampling": self.options.to_values()}

    def to_values(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @staticmethod
    def from_values(values: dict[str, Any]) -> Order:
        """The order again."""
        return Order(
            **{
                **values,
                "readings": tuple(Reading(**reading) for reading in values["readings"]),
                "options": SampleOptions(**values["options"]),
                "finish": FinishOptions(**values["finish"]),
            }
        )


@dataclass(frozen=True)
class Outcome:
    """What became of one molecule: an ensemble, or why there is none."""

    id: str
    requested: int
    answer: Ensemble | Refusal

    @property
    def returned(self) -> int:
        """Conformers that were made."""
        return 0 if isinstance(self.answer, Refusal) else len(self.answer.conformers)

    @property
    def complete(self) -> bool:
        """Whether every conformer was made, and finished as asked."""
        if isinstance(self.answer, Refusal):
            return False
        return self.answer.status == "ok" and not (self.answer.finishing and self.answer.finishing.problems)
