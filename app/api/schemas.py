"""Request and response bodies: the public contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.intake.limits import MAX_ID_CHARS, MAX_STEREOISOMERS
from app.settings import MOLECULES_CEILING
from models.draws import MAX_SEED
from models.errors import FinishError
from models.finishing.options import MAX_PRUNE_RMSD_ANG, MAX_WINDOW_KCAL_MOL, FinishOptions
from models.options import DEFAULT_START, MAX_STEPS, MAX_TRIES, START_TIME, STEPS, Start

_MAX_FIELDS = 50


def _each(defaults: Mapping[str, float]) -> str:
    return ", ".join(f"{value} from {start}" for start, value in defaults.items())


class Body(BaseModel):
    """Unknown fields are refused, and numbers must be numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def few_fields(cls, data: Any) -> Any:
        """Each of thousands of unknown fields would become an error of its own."""
        if isinstance(data, dict) and len(data) > _MAX_FIELDS:
            raise ValueError(f"{len(data)} fields are too many")
        return data


class MoleculeSpec(Body):
    """One molecule, as SMILES or as an MDL mol block."""

    id: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = Field(
        None, description="Your name for it; the place in the list by default."
    )
    smiles: str | None = Field(None, description="One molecule; implicit hydrogens are added after its own atoms.")
    molblock: str | None = Field(None, description="MDL V2000 or V3000 block, in place of `smiles`.")

    @model_validator(mode="after")
    def one_input(self) -> MoleculeSpec:
        """Exactly one of the two forms must be given."""
        if (self.smiles is None) == (self.molblock is None):
            raise ValueError("give exactly one of smiles and molblock")
        return self


class SamplerSpec(Body):
    """How to go from the start to structures."""

    kind: Literal["ode", "heun", "sde"] = Field("ode", description="Euler, Heun, or Langevin steps.")
    steps: int | None = Field(
        None,
        ge=1,
        le=MAX_STEPS,
        description="More steps cost more time in proportion; " + _each(STEPS) + " by default.",
    )
    schedule: Literal["uniform", "quadratic", "log"] = Field("uniform", description="Time grid.")
    start_time: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Only with a start from guesses: the share of the guess where paths begin, the rest being noise; "
        + _each({start: time for start, time in START_TIME.items() if time})
        + " by default. The more, the closer structures stay to their guesses.",
    )
    tries: int = Field(
        1, ge=1, le=MAX_TRIES, description="Only with start `mmff94s`: guesses for each conformer; the lowest is taken."
    )


class FinishSpec(Body):
    """What to do with the conformers after sampling; nothing by default."""

    relax: Literal["mmff94s"] | None = Field(None, description="Move each conformer to its energy minimum.")
    energies: Literal["mmff94s"] | None = Field(None, description="Method of the energies; `relax` brings its own.")
    prune_rmsd: float | None = Field(
        None, gt=0, le=MAX_PRUNE_RMSD_ANG, description="Of conformers closer than this only one is kept, Å."
    )
    rank: bool = Field(False, description="Lowest energy first.")
    energy_window: float | None = Field(
        None, gt=0, le=MAX_WINDOW_KCAL_MOL, description="Most energy above the lowest conformer, kcal/mol."
    )

    @model_validator(mode="after")
    def fits(self) -> FinishSpec:
        """Ranking and the window need energies."""
        try:
            self.options()
        except FinishError as error:
            raise ValueError(str(error)) from None
        return self

    def options(self) -> FinishOptions:
        """The same for the library."""
        return FinishOptions(**self.model_dump())


class ConformersRequest(Body):
    """Molecules to sample."""

    molecules: list[MoleculeSpec] = Field(min_length=1, max_length=MOLECULES_CEILING)
    num_conformers: int = Field(10, ge=1, description="Conformers of each molecule.")
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="Same seed, same structures; drawn when absent.")
    start: Start = Field(
        DEFAULT_START,
        description="Where paths begin: `noise`; or warm, at a guess mixed with noise, from ETKDG alone or relaxed.",
    )
    sampler: SamplerSpec = SamplerSpec()
    finish: FinishSpec = FinishSpec()
    format: Literal["sdf", "pdb", "xyz", "mmcif", "json"] = Field(
        "sdf", description="Of `structure` in a JSON answer and of the files in a zip."
    )
    stereo: Literal["sample", "enumerate"] = Field(
        "sample", description="Stereo left open: choose one stereoisomer by the seed, or make all of them."
    )
    max_stereoisomers: int = Field(8, ge=1, le=MAX_STEREOISOMERS, description="Limit of `enumerate`, per molecule.")
    model: str | None = Field(None, description="Name of the model, to be sure of it; see `GET /v1/models`.")


class ProblemCount(BaseModel):
    """Why some conformers are missing, were left out, or are not as asked."""

    reason: str
    detail: str
    count: int


class ConformerRecord(BaseModel):
    """One conformer of `structure`, in its order."""

    index: int
    seed: int
    stereo_ok: bool
    relaxed: bool = Field(description="Whether a force field has moved it after sampling.")
    energy_kcal_mol: float | None = Field(description="Of the coordinates as they are returned.")
    relative_energy_kcal_mol: float | None = Field(description="Above the lowest conformer of the molecule.")
    energy_method: str | None


class FinishRecord(BaseModel):
    """What was done to the conformers of one molecule after sampling."""

    relax: str | None = Field(description="Method that was to move them.")
    energy_method: str | None = Field(description="Method of the energies; null without energies.")
    removed: list[ProblemCount] = Field(description="Left out as asked: `duplicate`, `energy_window`.")
    problems: list[ProblemCount] = Field(description="What could not be done; the conformers are there all the same.")


class MoleculeResult(BaseModel):
    """What became of one molecule, or of one of its stereoisomers."""

    id: str
    status: Literal["ok", "partial", "failed"]
    smiles: str | None = Field(description="Canonical isomeric SMILES of what was sampled.")
    num_requested: int
    num_returned: int
    num_pruned: int = Field(description="Left out because `finish` asked for it; see `finish.removed`.")
    notes: list[str] = Field(description="What was decided for you, such as a stereocentre left open.")
    problems: list[ProblemCount] = Field(description="Why conformers are missing.")
    finish: FinishRecord | None = Field(description="What was done after sampling; null if nothing was.")
    conformers: list[ConformerRecord]
    structure: str | dict[str, Any] | None = Field(description="File text, or atoms, bonds and coordinates (json).")


class Timing(BaseModel):
    """Seconds of each part."""

    read: float
    wait: float
    sample: float
    finish: float
    write: float
    total: float


class Sampling(BaseModel):
    """How the structures were made, with the defaults that were taken."""

    start: str
    start_time: float | None = Field(description="Share of the guess where paths began; null from noise.")
    tries: int
    kind: str
    steps: int
    schedule: str


class ProblemDocument(BaseModel):
    """RFC 9457 problem document; `errors` or `results` are there where they help."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


class ConformersResponse(BaseModel):
    """Results in the order of the request."""

    model: str
    seed: int
    sampling: Sampling
    results: list[MoleculeResult]
    timing_s: Timing
