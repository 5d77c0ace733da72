"""Request and response bodies of backbones: the public contract."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from app.api.schemas import Body
from app.intake.limits import MAX_FIXED, MAX_ID_CHARS
from app.settings import LENGTHS_CEILING
from models.backbone import BackboneReport
from models.data.motif import LIMIT_BYTES
from models.data.peptides import FOLD_CLASSES
from models.draws import MAX_SEED
from models.options import MAX_CHURN, MAX_GUIDANCE, MAX_NOISE_SCALE, MAX_STEPS

LONGEST = 10_000  # residues in a request; the range of the model is narrower
Length = Annotated[int, Field(ge=1, le=LONGEST)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[^\x00-\x1f\x7f]+$")]


class BackboneSampler(Body):
    """How to go from noise to backbones."""

    kind: Literal["ode", "heun", "sde"] = Field("sde", description="Euler, Heun, or Langevin steps.")
    steps: int = Field(200, ge=1, le=MAX_STEPS, description="More steps cost more time in proportion.")
    schedule: Literal["uniform", "quadratic", "log"] = Field("log", description="Time grid.")
    noise_scale: float | None = Field(
        None,
        ge=0,
        le=MAX_NOISE_SCALE,
        description="Only of `sde`: the less noise, the more regular and alike; 0.5 by default.",
    )
    churn: float | None = Field(
        None,
        ge=0,
        le=MAX_CHURN,
        description="Only of `sde`: how strongly noise and score act. It mends errors of the network, and needs "
        "steps: on the grid `log` a tenth of their number by default, with `fixed` at most 10; never above a fifth.",
    )
    guidance: float = Field(
        1.0,
        ge=0,
        le=MAX_GUIDANCE,
        description="How strongly `condition` is followed: 1 as learnt, more makes it count more. Any other than 1 "
        "doubles the work.",
    )


class Condition(Body):
    """What is asked of the chains beside their length; the model follows it more or less."""

    helix: float | None = Field(None, ge=0, le=1, description="Share of residues in helices.")
    strand: float | None = Field(None, ge=0, le=1, description="Share of residues in strands; with helix at most 1.")
    fold: str | None = Field(
        None,
        pattern=f"^[{FOLD_CLASSES}]$",
        description="Class of SCOPe: a all alpha, b all beta, c alpha/beta, d alpha+beta, e multi-domain, f membrane, "
        "g small.",
    )
    secondary: str | None = Field(
        None,
        max_length=LONGEST,
        pattern="^[HEC-]+$",
        description="One letter for each residue: H helix, E strand, C the rest, - for any.",
    )


class StartSpec(Body):
    """A structure to begin at, or to take fixed residues from."""

    structure: str = Field(
        min_length=1, max_length=LIMIT_BYTES, description="A PDB or mmCIF file; its longest unbroken stretch is taken."
    )
    chain: str | None = Field(None, max_length=32, description="Name of the chain, where there are several.")
    t: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the structure where paths begin, the rest being noise; 0 begins at noise, and only fixed "
        "residues are taken from it.",
    )


class BackbonesRequest(Body):
    """Backbones to sample."""

    lengths: list[Length] | None = Field(
        None,
        min_length=1,
        max_length=LENGTHS_CEILING,
        description="Residues of each; the card of the model has the range. A length that is there again goes on with "
        "the seeds where it left off. With `start` that of the structure, by default.",
    )
    start: StartSpec | None = Field(None, description="Partial diffusion, or a motif; nothing by default.")
    fixed: list[Annotated[str, Field(min_length=1, max_length=80)]] | None = Field(
        None,
        min_length=1,
        max_length=MAX_FIXED,
        description="Residues of `start` that keep their shape, by the numbers of the file: `A10-20`, `A25`.",
    )
    at: list[Length] | None = Field(
        None,
        min_length=1,
        max_length=MAX_FIXED,
        description="Place in the samples, from 1, of the first residue of each of `fixed`: samples then have lengths "
        "of their own, and residues of several chains can be put together. Not with `start.t`.",
    )
    ids: list[Name] | None = Field(
        None, max_length=LENGTHS_CEILING, description="Your name for each length; length and place by default."
    )
    num_samples: int = Field(4, ge=1, description="Backbones of each length.")
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="Same seed, same structures; drawn when absent.")
    sampler: BackboneSampler = BackboneSampler()
    condition: Condition = Condition()
    residue: Literal["ALA", "GLY"] = Field("ALA", description="Name of all residues in files; none has a side chain.")
    idealise: bool = Field(True, description="Bring bonds, angles and peptide planes to their ideal values.")
    keep_failed: bool = Field(
        False, description="Return structures that fail the checks too; `quality.passed` tells them apart."
    )
    format: Literal["pdb", "mmcif", "bcif", "json"] = Field(
        "pdb", description="Of `structure` in a JSON answer (`bcif` in base64) and of the files in a zip."
    )
    model: str | None = Field(None, description="Name of the model, to be sure of it; see `GET /v1/models`.")

    @model_validator(mode="after")
    def fits(self) -> BackbonesRequest:
        """There is a length, and a structure that is given has a use."""
        if self.at is not None:
            if self.fixed is None or len(self.at) != len(self.fixed):
                raise ValueError(f"give a place in at for each of fixed; {len(self.at)} for {len(self.fixed or [])}")
            if self.lengths is None:
                raise ValueError("with places in at, give lengths")
            if self.start is not None and (self.start.t or self.start.chain):
                raise ValueError("with places in at, leave start.t and start.chain out; fixed names chains")
        if self.start is None:
            if self.lengths is None:
                raise ValueError("give lengths, or a structure as start")
            if self.fixed is not None:
                raise ValueError("fixed residues need a structure; give it as start.structure")
        elif not self.start.t and self.fixed is None:
            raise ValueError("start has no use: give start.t above 0 to begin at it, or residues in fixed")
        return self


class SampleRecord(BaseModel):
    """One backbone."""

    seed: int = Field(description="The seed that makes it again.")
    attempts: int = Field(description="Structures drawn for it, this one included.")
    motif_rmsd_ang: float | None = Field(description="How far fixed residues are off; null where none are.")
    quality: BackboneReport
    structure: str | list[list[list[float]]] = Field(
        description="File text, BinaryCIF in base64, or N, CA, C, O of each residue in Å (json)."
    )


class LengthResult(BaseModel):
    """What became of one length."""

    index: int
    id: str
    length: int
    status: Literal["ok", "partial", "failed"]
    num_requested: int
    num_returned: int
    reason: str | None = Field(description="Why samples are missing; null when none is.")
    detail: str = Field(description="The same as a sentence.")
    samples: list[SampleRecord]


class TemplateRecord(BaseModel):
    """What was taken from `start`: a stretch of a chain, or with `at` the fixed residues; and where those are."""

    chain: str
    first: str
    last: str
    residues: int
    fixed: int
    places: list[str] = Field(description="Numbers of the fixed residues in the samples, which count from 1.")


class BackboneTiming(BaseModel):
    """Seconds of each part."""

    read: float
    wait: float
    sample: float
    write: float
    total: float


class BackboneSampling(BaseModel):
    """How the backbones were made, with the defaults that were taken."""

    start: str
    start_time: float | None = Field(description="Share of the given structure where paths began; null from noise.")
    kind: str
    steps: int
    schedule: str
    noise_scale: float | None = Field(description="Null for samplers without noise.")
    churn: float | None = Field(description="Likewise.")
    guidance: float


class BackbonesResponse(BaseModel):
    """Results in the order of the request."""

    model: str
    seed: int
    sampling: BackboneSampling
    format: str
    residue: str
    condition: Condition = Field(description="What was asked of the chains.")
    idealise: bool
    keep_failed: bool
    template: TemplateRecord | None = Field(description="What was read of `start`; null without.")
    results: list[LengthResult]
    timing_s: BackboneTiming
