"""Molecules, their ETKDG structures, tiny networks and an all-knowing one, shared by the tests of the science."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from models.data import residues
from models.data.backbones import BackboneSet, read_backbones
from models.data.datasets import ReferenceMolecule
from models.data.features import PAIR_SIZES, TOKEN_SIZES
from models.data.molecule import build_molecules, read_smiles
from models.data.packing import PackedSet, pack
from models.geometry.alignment import align
from models.networks.denoiser import DenoiserConfig
from models.networks.preconditioning import PreconditionedDenoiser
from models.structure import Conformer, Ensemble, Molecule
from models.training.config import TrainConfig
from models.weights import Model, build_model

TRAINING_SMILES = (
    "C", "CC", "CCO", "C=C", "C#N", "CC=O", "COC", "CN", "C1CC1", "C1CO1", "CC#C", "NC=O", "OCCO", "CC(C)O",
    "C[C@H](N)C=O", "C/C=C/C", "C/C=C\\C", "c1cc[nH]c1", "CC(=O)N", "CF",
)  # fmt: skip


@cache
def _molecule(smiles: str, name: str, seed: int) -> Molecule:
    return build_molecules(read_smiles(smiles, name), seed)[0]


def _embed(molecule: Molecule, seed: int) -> np.ndarray:
    mol = Chem.Mol(molecule.mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    assert rdDistGeom.EmbedMolecule(mol, parameters) == 0, f"RDKit has no structure of {molecule.smiles}"
    x = mol.GetConformer().GetPositions()
    return x - x.mean(0)


@pytest.fixture(scope="session")
def files() -> Path:
    """Folder of the small input files."""
    return Path(__file__).parents[1] / "files"


@pytest.fixture(scope="session")
def molecule_of() -> Callable[..., Molecule]:
    """SMILES to `Molecule`."""
    return lambda smiles, name="", seed=0: _molecule(smiles, name, seed)


@pytest.fixture(scope="session")
def structure_of() -> Callable[..., np.ndarray]:
    """`Molecule` to a centred ETKDG structure, Å.  [N, 3]"""
    return lambda molecule, seed=7: _embed(molecule, seed)


@pytest.fixture(scope="session")
def ensemble_of() -> Callable[..., Ensemble]:
    """SMILES to an `Ensemble` of ETKDG structures."""

    def build(smiles: str, name: str = "", count: int = 2) -> Ensemble:
        molecule = _molecule(smiles, name, 0)
        structures = [_embed(molecule, 7 + k).astype(np.float32) for k in range(count)]
        conformers = tuple(Conformer(k, 100 + k, x) for k, x in enumerate(structures))
        return Ensemble(molecule, count, conformers, (), count, count)

    return build


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., DenoiserConfig]:
    """Shape of a network that runs in milliseconds."""
    small = DenoiserConfig(
        TOKEN_SIZES, PAIR_SIZES, channels=16, heads=2, layers=2, pair_channels=8, radial=4, expansion=2
    )
    return lambda **changes: replace(small, **changes)


@pytest.fixture(scope="session")
def shaken() -> Callable[..., PreconditionedDenoiser]:
    """Network whose every weight is moved off its start, so that nothing is hidden behind a zero."""

    def build(config: DenoiserConfig, seed: int = 0, size: float = 0.2) -> PreconditionedDenoiser:
        torch.manual_seed(seed)
        module = PreconditionedDenoiser(config)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(size * torch.randn_like(parameter))
        return module.eval().requires_grad_(False)

    return build


@pytest.fixture(scope="session")
def model_of() -> Callable[..., Model]:
    """Wrap a module as a registered model."""

    def build(module: torch.nn.Module, prior: str = "harmonic", coupling: str = "kabsch") -> Model:
        training = {"prior": prior, "prior_std_ang": 1.0, "coupling": coupling}
        return build_model("tiny", module, training, {}, torch.device("cpu"))

    return build


@pytest.fixture(scope="session")
def chain_model(tiny_config, shaken, model_of) -> Callable[..., Model]:
    """A model of backbones that has learnt nothing: no draw of it passes the checks."""
    config = tiny_config(
        token_sizes=residues.TOKEN_SIZES, pair_sizes=residues.PAIR_SIZES, points_per_token=4, anchor=1,
        offset_std_ang=1.05, noise_offset_std_ang=1.05, frames=True, local=True, noise_std_ang=7.5, data_std_ang=7.8,
    )  # fmt: skip
    return lambda seed=0: model_of(shaken(config, seed), "chain", "none")


class Oracle:
    """Stands for a perfect network: its guess is a stored structure, turned onto whatever it is shown.

    Where `fails`, asked with the start of each path, is true, the guess is twice too large and has no intact bond.
    """

    def __init__(self, fails: Callable[[np.ndarray], bool] = lambda x: False) -> None:
        self.config = DenoiserConfig(TOKEN_SIZES, PAIR_SIZES)
        self.fails = fails
        self.known: dict[bytes, np.ndarray] = {}
        self.calls = 0

    def learn(self, molecule: Molecule, x: np.ndarray) -> None:
        """Store a structure."""
        self.known[molecule.features.pairs.astype(np.int64).tobytes()] = x

    def __call__(self, batch, x, t, guess=None, half=False, begin=None):
        self.calls += 1
        target = torch.zeros_like(x)
        for row, count in enumerate(batch.token_mask.sum(1).tolist()):
            key = batch.pairs[row, :count, :count].contiguous().numpy().tobytes()
            target[row, :count] = torch.from_numpy(self.known[key]).to(x)
        if float(t.max()) == 0:
            rows = zip(x.numpy(), batch.token_mask.sum(1).tolist(), strict=True)
            self.factor = torch.tensor([2.0 if self.fails(row[:count]) else 1.0 for row, count in rows])
        return align(target, x, batch.token_mask) * self.factor[:, None, None]


@pytest.fixture
def oracle() -> Callable[..., Oracle]:
    """An `Oracle` that knows the given molecules."""

    def build(*molecules: Molecule, fails: Callable[[np.ndarray], bool] = lambda x: False) -> Oracle:
        knows = Oracle(fails)
        for molecule in molecules:
            knows.learn(molecule, _embed(molecule, 7))
        return knows

    return build


@pytest.fixture(scope="session")
def references() -> list[ReferenceMolecule]:
    """Twenty small molecules with one structure each."""
    molecules = [_molecule(smiles, "", 0) for smiles in TRAINING_SMILES]
    return [
        ReferenceMolecule(
            smiles, np.array([a.GetAtomicNum() for a in m.mol.GetAtoms()], dtype=np.uint8), _embed(m, 1)[None]
        )
        for smiles, m in zip(TRAINING_SMILES, molecules, strict=True)
    ]


@pytest.fixture(scope="session")
def packed(references: list[ReferenceMolecule]) -> list[PackedSet]:
    """The twenty molecules in two buckets."""
    blocks, _ = pack(references, (), (8, 16), processes=1)
    return blocks


@pytest.fixture(scope="session")
def train_config(tiny_config: Callable[..., DenoiserConfig]) -> Callable[..., TrainConfig]:
    """A run of seconds."""

    def build(**changes) -> TrainConfig:
        base = TrainConfig(
            network=tiny_config(),
            tokens_per_step=80,
            warmup_steps=5,
            compile=False,
            budget_s=40.0,
            bucket_sizes=(8, 16),
        )
        return replace(base, **changes)

    return build


@pytest.fixture(scope="session")
def backbones() -> BackboneSet:
    """Nineteen chains, some of them test chains."""
    return read_backbones(Path(__file__).parents[1] / "files" / "backbones.npz")
