"""What one request for backbones asks for, checked and with nothing left open.

Axes: L residues, points N, CA, C, O.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from models.blueprint import Blueprint
from models.data.blueprints import Wish, build_blueprint
from models.data.motif import Template
from models.draws import spread_seeds
from models.options import STRUCTURE, SampleOptions


@dataclass(frozen=True)
class BackboneOrder:
    """A request that can be carried out now or later, with the same result.

    Attributes:
        model: Name of the model.
        names: The caller's name for each length.
        lengths: Residues of each.
        count: Backbones of each.
        seed: Of the whole request.
        options: How to sample.
        wish: What is asked of the chains.
        residue: Name of all residues in files.
        file_format: Of structures inside an answer; see `models.export.backbone_formats`, or `json`.
        keep_failed: See `Blueprint`.
        idealise: Likewise.
        template: What was read of the structure that paths begin at, or that residues are taken from.
    """

    kind: ClassVar[str] = "backbones"
    model: str
    names: tuple[str, ...]
    lengths: tuple[int, ...]
    count: int
    seed: int
    options: SampleOptions
    wish: Wish
    residue: str
    file_format: str
    keep_failed: bool
    idealise: bool
    template: Template | None = None

    @property
    def requested(self) -> int:
        """Backbones in all."""
        return self.count * len(self.lengths)

    @cached_property
    def seeds(self) -> list[int]:
        """First seed of each length."""
        return spread_seeds(self.lengths, self.seed, self.count)

    @property
    def head(self) -> dict[str, Any]:
        """What an answer says of the whole request, plain JSON values."""
        return {
            "model": self.model,
            "seed": self.seed,
            "sampling": self.options.to_chain_values(),
            "format": self.file_format,
            "residue": self.residue,
            "condition": asdict(self.wish),
            "idealise": self.idealise,
            "keep_failed": self.keep_failed,
            "template": self.template and self.template.to_values(),
        }

    def blueprint(self, place: int) -> Blueprint:
        """What is to be sampled for one length.

        Raises:
            BackboneError: A wish cannot be.
        """
        name, length = self.names[place], self.lengths[place]
        start = fixed = motif = None
        if self.template is not None:
            motif, fixed = self.template.widened(length)
            start = motif if self.options.start == STRUCTURE else None
        return build_blueprint(name, length, self.wish, start, fixed, motif, self.keep_failed, self.idealise)

    def to_values(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = asdict(replace(self, template=None))
        if self.template is not None:
            template = vars(self.template)
            arrays = {k: x.tolist() for k, x in template.items() if isinstance(x, np.ndarray)}
            values["template"] = {**template, **arrays}
        return values

    @staticmethod
    def from_values(values: dict[str, Any]) -> BackboneOrder:
        """The order again."""
        template = values["template"]
        return BackboneOrder(
            **{
                **values,
                "names": tuple(values["names"]),
                "lengths": tuple(values["lengths"]),
                "options": SampleOptions(**values["options"]),
                "wish": Wish(**values["wish"]),
                "template": template and _template(**template),
            }
        )


def _template(coordinates: list[Any], fixed: list[bool] | None, **rest: Any) -> Template:
    mask = None if fixed is None else np.array(fixed, bool)
    return Template(coordinates=np.array(coordinates, np.float32), fixed=mask, **rest)
