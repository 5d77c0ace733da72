"""How to sample: kind of step, steps, start; with what each start takes by default."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from models.errors import SamplerError
from models.samplers.steps import KINDS

MAX_STEPS = 1_000
Start = Literal["noise", "etkdg", "mmff94s"]
STARTS: tuple[str, ...] = get_args(Start)
DEFAULT_START: Start = "mmff94s"  # better than noise on validation molecules, at a tenth of the steps
STEPS = {"noise": 50, "etkdg": 5, "mmff94s": 5}  # of molecules, where nothing else is asked for
STRUCTURE = "structure"  # paths of backbones that begin at a structure the caller gives
START_TIME = {"noise": 0.0, "etkdg": 0.8, "mmff94s": 0.9}  # likewise
MAX_TRIES = 32
CHAIN_STEPS = 200  # of backbones, where nothing else is asked for
CHAIN_CHURN = 0.1  # for each step, likewise
_HELD_CHURN = 10.0  # at most, where residues are held fixed and nothing else is asked: more tears the chain there
_MOST_CHURN = {"log": 0.2, "quadratic": 0.05, "uniform": 0.04}  # for each step: steps that go further overshoot
MAX_NOISE_SCALE = 2.0
MAX_CHURN = 100.0
MAX_GUIDANCE = 10.0
_OF_SDE = ("noise_scale", "churn")  # have no meaning for other kinds


@dataclass(frozen=True)
class SampleOptions:
    """How to sample.

    Attributes:
        kind: `ode` (Euler), `heun` or `sde`.
        steps: Steps from the start to the structure.
        schedule: Time grid.
        quotient: Move between shapes only.
        noise_scale: gamma of the SDE.
        churn: How strongly noise and score of the SDE act: mends errors of the network, and needs more steps.
        curvature: Keep the curvature drift of the SDE; off only to measure what it does.
        rounds: How often at most each conformer is drawn before it is given up.
        half: Run matrix products in bfloat16.
        start: `noise`; `etkdg` to begin at an ETKDG guess that was mixed with noise; `mmff94s` to relax it first;
            `structure` to begin at one that the caller gives.
        start_time: Share of the guess in that mixture, the time at which paths then begin; 0 from noise.
        tries: Relaxed guesses that are made for each conformer, of which the lowest in energy is taken.
        guidance: How strongly wishes for a backbone are followed: 1 as learnt, above 1 more; see `ConditionedDenoiser`.
    """

    kind: str = "ode"
    steps: int = 50
    schedule: str = "uniform"
    quotient: bool = True
    noise_scale: float = 0.5
    churn: float = 1.0
    curvature: bool = True
    rounds: int = 5
    half: bool = False
    start: str = "noise"
    start_time: float = 0.0
    tries: int = 1
    guidance: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no sampler can do."""
        if self.start not in (*STARTS, STRUCTURE):
            raise SamplerError(f"unknown start {self.start!r}; allowed: {', '.join(STARTS)}")
        if self.start == "noise" and self.start_time:
            raise SamplerError(
                f"start_time is {self.start_time}, but paths from noise begin at 0; leave it out, or take start 'etkdg'"
            )
        if self.start != "noise" and not 0 < self.start_time < 1:
            raise SamplerError(f"start_time is {self.start_time}; allowed: above 0, below 1")
        if self.guessed and self.kind == "sde":
            raise SamplerError(
                "sampler kind 'sde' needs the score of paths from noise, which a guess does not have; use 'ode' or "
                "'heun', or start 'noise'"
            )
        if not 1 <= self.tries <= (MAX_TRIES if self.start == "mmff94s" else 1):
            raise SamplerError(f"tries is {self.tries}; allowed: 1 to {MAX_TRIES} with start 'mmff94s', else 1")
        if self.kind not in KINDS:
            raise SamplerError(f"unknown sampler {self.kind!r}; allowed: {', '.join(KINDS)}")
        if not 0 <= self.noise_scale <= MAX_NOISE_SCALE:
            raise SamplerError(f"noise_scale is {self.noise_scale}; allowed: 0 to {MAX_NOISE_SCALE:g}")
        if not 0 <= self.churn <= MAX_CHURN:
            raise SamplerError(f"churn is {self.churn}; allowed: 0 to {MAX_CHURN:g}")
        if not 0 <= self.guidance <= MAX_GUIDANCE:
            raise SamplerError(f"guidance is {self.guidance}; allowed: 0 to {MAX_GUIDANCE:g}")
        if not 1 <= self.steps <= MAX_STEPS:
            raise SamplerError(f"steps is {self.steps}; allowed: 1 to {MAX_STEPS}")
        if self.rounds < 1:
            raise SamplerError(f"rounds is {self.rounds}; allowed: 1 or more")

    @property
    def guessed(self) -> bool:
        """Whether paths begin at guesses that have to be made first."""
        return self.start not in ("noise", STRUCTURE)

    @property
    def guided(self) -> bool:
        """Whether the network is also asked what it would guess without wishes."""
        return self.guidance != 1

    @property
    def calls(self) -> int:
        """Calls of the network for each structure."""
        return self.steps * (2 if self.kind == "heun" else 1) * (2 if self.guided else 1)

    @property
    def shared(self) -> "SampleOptions":
        """The part that paths in one batch must have in common; steps, start and rounds are their own affair."""
        scale = self.noise_scale if self.kind == "sde" else SampleOptions.noise_scale
        return replace(self, steps=1, rounds=1, start="noise", start_time=0.0, tries=1, noise_scale=scale)

    def to_values(self) -> dict[str, Any]:
        """What a caller chooses, or the defaults in its place, as plain JSON values."""
        names = ("start", "start_time", "tries", "kind", "steps", "schedule")
        return {name: getattr(self, name) for name in names} | {"start_time": self.start_time or None}

    def to_chain_values(self) -> dict[str, Any]:
        """The same of backbones."""
        names = ("start", "start_time", "kind", "steps", "schedule", "noise_scale", "churn", "guidance")
        values = {name: getattr(self, name) for name in names} | {"start_time": self.start_time or None}
        return values if self.kind == "sde" else values | dict.fromkeys(_OF_SDE)


def build_options(
    start: str = DEFAULT_START, steps: int | None = None, start_time: float | None = None, **rest: Any
) -> SampleOptions:
    """Options with the default steps and time of a start where none are given.

    Raises:
        SamplerError: As for `SampleOptions`.
    """
    if start_time is None:
        start_time = START_TIME.get(start, 0.0)
    return SampleOptions(
        start=start, steps=STEPS.get(start, 1) if steps is None else steps, start_time=start_time, **rest
    )


def build_chain_options(
    kind: str = "sde",
    steps: int | None = None,
    schedule: str = "log",
    churn: float | None = None,
    noise_scale: float | None = None,
    held: bool = False,
    **rest: Any,
) -> SampleOptions:
    """Options for backbones, with defaults that were chosen on validation chains; `held` where residues are held fixed.

    Raises:
        SamplerError: As for `SampleOptions`; more churn than the steps can follow; or noise of a sampler that has none.
    """
    if kind != "sde":
        for name, value in zip(_OF_SDE, (noise_scale, churn), strict=True):
            if value is not None:
                raise SamplerError(
                    f"{name} is {value:g}, but sampler {kind!r} has no noise; leave it out, or take 'sde'"
                )
    steps = CHAIN_STEPS if steps is None else steps
    most = steps * _MOST_CHURN.get(schedule, 0.0)
    usual = min(CHAIN_CHURN * steps, most / 2)
    churn = (min(usual, _HELD_CHURN) if held else usual) if churn is None else churn
    if kind == "sde" and churn > most:
        raise SamplerError(
            f"churn is {churn:g} with {steps} steps of the grid {schedule!r}; allowed: 0 to {most:g}, or more steps"
        )
    if kind != "sde":
        return SampleOptions(kind=kind, steps=steps, schedule=schedule, **rest)
    scale = SampleOptions.noise_scale if noise_scale is None else noise_scale
    return SampleOptions(kind=kind, steps=steps, schedule=schedule, noise_scale=scale, churn=churn, **rest)


def from_noise(options: SampleOptions) -> SampleOptions:
    """The same from noise, with the steps that noise needs: for molecules without a guess."""
    return replace(options, start="noise", start_time=0.0, tries=1, steps=max(options.steps, STEPS["noise"]))
