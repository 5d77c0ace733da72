"""Everything that decides a training run, saved beside every checkpoint."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from models.errors import DataError
from models.networks.denoiser import DenoiserConfig
from models.samplers.prior import CHAIN_POINTS, PRIORS
from models.training.loss import CHAIN_METRICS, LOSSES, METRICS

COUPLINGS = ("kabsch", "none")


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes:
        network: Shape of the network.
        loss: `quotient` compares shapes, `plain` compares coordinates, `aligned` compares coordinates after the target
            was turned onto the guess.
        metric: `flat` counts errors of all coordinates alike, `chain` errors at all scales along a protein chain,
            `contact` those of residues near in space too.
        coupling: `kabsch` turns each prior sample onto its target, `none` leaves it.
        automorphisms: Renumberings of equivalent atoms, at most, among which the coupling chooses too; 0 for none.
        prior: `harmonic` on the bond graph, `gaussian`, or `chain` for backbones.
        prior_std_ang: Scale of the prior, Å.
        tokens_per_step: Padded tokens in one optimiser step; sets the batch size of each bucket.
        learning_rate: Peak rate of AdamW, for embeddings, biases and the read-out.
        matrix_learning_rate: Peak rate of Muon, for the weight matrices inside the layers; 0 uses AdamW for all.
            Muon orthogonalises in bfloat16: on a CPU without bfloat16 products it costs more than the network.
        weight_decay: Decoupled decay of matrices.
        warmup_steps: Steps of linear warm-up.
        decay_share: Last share of the budget over which the rate falls linearly to zero.
        ema_decay: Largest decay of the averaged weights; ramped up over the first steps.
        self_conditioning_share: Share of steps that first make a guess and condition on it.
        gradient_clip: Largest norm of the gradient.
        budget_s: Wall-clock budget of the whole run, all pieces together, s.
        seed: Fixes data order, noise and initial weights.
        half: `auto` measures bfloat16 against float32, `on` and `off` choose.
        compile: Fuse the network with torch.compile.
        least_per_size: Molecules of an atom count that has fewer are repeated up to this many.
        repeats: Visits to each molecule in one pass over the data, by file name without its ending; 1 by default.
        warm_share: Share of those visits on which the path begins at a guess and not at noise.
        warm_earliest: Smallest time at which such a path begins.
        warm_latest: Largest time at which it begins.
        relax_guesses: Whether each guess is there a second time, relaxed with MMFF94s.
        embed_guesses: ETKDG guesses that are made for molecules that come without.
        guess_radius_ang: Guesses that are further than this from every conformer are left out, Å.
        initial: Weights to start from (safetensors); empty for random ones.
        bucket_sizes: Largest atom count (residues, for backbones) of each size bucket; what is larger is left out.
        core_only: Of backbones, take only those that are compact and mostly helix and strand.
        crop: Cut backbones that are too long to stretches of the largest size, drawn anew each time.
    """

    network: DenoiserConfig
    loss: str = "quotient"
    metric: str = "flat"
    coupling: str = "kabsch"
    automorphisms: int = 0
    prior: str = "harmonic"
    prior_std_ang: float = 1.0
    tokens_per_step: int = 4096
    learning_rate: float = 1e-3
    matrix_learning_rate: float = 0.01
    weight_decay: float = 0.01
    warmup_steps: int = 200
    decay_share: float = 0.5
    ema_decay: float = 0.999
    self_conditioning_share: float = 0.5
    gradient_clip: float = 1.0
    budget_s: float = 7200.0
    seed: int = 0
    half: str = "auto"
    compile: bool = True
    least_per_size: int = 0
    repeats: dict[str, int] = field(default_factory=dict)
    warm_share: float = 0.0
    warm_earliest: float = 0.5
    warm_latest: float = 0.95
    relax_guesses: bool = False
    embed_guesses: int = 0
    guess_radius_ang: float = 1.0
    initial: str = ""
    bucket_sizes: tuple[int, ...] = (20, 29)
    core_only: bool = True
    crop: bool = False

    def __post_init__(self) -> None:
        """Refuse unknown words at once, not after an hour."""
        for name, allowed in (("loss", LOSSES), ("metric", METRICS), ("coupling", COUPLINGS), ("prior", PRIORS)):
            if getattr(self, name) not in allowed:
                raise DataError(f"{name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}")
        chains = self.network.points_per_token == CHAIN_POINTS
        if chains and (self.prior == "harmonic" or self.warm_share or self.automorphisms):
            raise DataError(
                "backbones have several points per token; they need prior 'gaussian' or 'chain', warm_share 0 and "
                "automorphisms 0"
            )
        if not chains and (self.prior == "chain" or self.metric in CHAIN_METRICS):
            words = " and ".join(CHAIN_METRICS)
            raise DataError(f"prior 'chain' and metric {words} need backbones, with {CHAIN_POINTS} points per token")
        if self.automorphisms < 0 or (self.automorphisms and self.coupling == "none"):
            raise DataError(
                f"automorphisms is {self.automorphisms} with coupling {self.coupling!r}; allowed: 0, or above 0 with "
                "coupling 'kabsch', which chooses among them"
            )
        if not 0 <= self.warm_share <= 1:
            raise DataError(f"warm_share is {self.warm_share}; allowed: 0 to 1")
        if self.warm_share and not self.network.warm_starts:
            raise DataError("warm_share is above 0, but the network has warm_starts off; turn it on")
        if not 0 < self.warm_earliest <= self.warm_latest < 1:
            raise DataError(
                f"warm starts are between {self.warm_earliest} and {self.warm_latest}; allowed: above 0, below 1, "
                "the earliest first"
            )
        if min(self.repeats.values(), default=1) < 1:
            raise DataError(f"repeats is {self.repeats}; allowed: 1 or more for each file")
        if self.embed_guesses < 0 or self.guess_radius_ang <= 0:
            raise DataError(
                f"embed_guesses is {self.embed_guesses}, guess_radius_ang {self.guess_radius_ang}; allowed: 0 or more, "
                "and above 0"
            )
        if not 0 < self.decay_share <= 1:
            raise DataError(f"decay_share is {self.decay_share}; allowed: above 0, up to 1")
        if self.half not in ("auto", "on", "off"):
            raise DataError(f"half is {self.half!r}; allowed: auto, on, off")


def to_json(config: TrainConfig) -> str:
    """Configuration as JSON text."""
    return json.dumps(asdict(config), indent=2)


def from_dict(values: dict) -> TrainConfig:
    """Configuration from parsed JSON; unknown keys are refused by name."""
    unknown = set(values) - {f.name for f in fields(TrainConfig)}
    if unknown:
        raise DataError(f"unknown training settings: {', '.join(sorted(unknown))}")
    if "network" not in values:
        raise DataError("the training settings lack 'network', the shape of the network")
    network = network_from_dict(values["network"])
    return TrainConfig(**{**values, "network": network, "bucket_sizes": tuple(values.get("bucket_sizes", (20, 29)))})


def network_from_dict(values: dict) -> DenoiserConfig:
    """Network shape from parsed JSON."""
    unknown = set(values) - {f.name for f in fields(DenoiserConfig)}
    missing = {"token_sizes", "pair_sizes"} - set(values)
    if unknown or missing:
        raise DataError(f"network settings: unknown {sorted(unknown)}, missing {sorted(missing)}")
    sizes = {key: tuple(values[key]) for key in ("token_sizes", "pair_sizes")}
    return DenoiserConfig(**{**values, **sizes})


def read_config(path: Path) -> TrainConfig:
    """Configuration from a JSON file."""
    return from_dict(json.loads(path.read_text()))
