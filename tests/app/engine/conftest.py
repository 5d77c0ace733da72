"""A network that knows the answers and can be held, broken or short of memory; engines around it."""

import threading
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
import structlog
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from app.engine.capacity import Capacity
from app.engine.engine import Engine
from app.engine.ticket import Ticket
from app.main import configure_logs
from models.data.features import PAIR_SIZES, TOKEN_SIZES
from models.data.molecule import build_molecules, read_smiles
from models.geometry.alignment import align
from models.networks.denoiser import DenoiserConfig
from models.options import SampleOptions
from models.structure import Molecule
from models.weights import Model, build_model

PATIENCE_S = 300  # for machines with other work
CAPACITY = Capacity(overhead_s=1e-3, token_s=1e-5, pair_s=0.0, max_pairs=64 * 24**2)  # 62 rows of 24 tokens


@cache
def _molecule(smiles: str) -> Molecule:
    return build_molecules(read_smiles(smiles), 0)[0]


@cache
def _structure(smiles: str) -> np.ndarray:
    mol = Chem.Mol(_molecule(smiles).mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = 7
    assert rdDistGeom.EmbedMolecule(mol, parameters) == 0
    x = mol.GetConformer().GetPositions()
    return x - x.mean(0)


class Network:
    """Stands for the denoiser: its guess is the ETKDG structure of each molecule, turned onto what it is shown.

    Attributes:
        free: Calls wait until it is set.
        busy: Set by each call.
        batches: Atom counts of the rows of each call.
        breaks: Called with these counts; what it returns is raised.
        spoils: Asked with the start of each path; where true, the guess is twice too large from then on.
    """

    def __init__(self) -> None:
        self.config = DenoiserConfig(TOKEN_SIZES, PAIR_SIZES)
        self.free, self.busy = threading.Event(), threading.Event()
        self.free.set()
        self.batches: list[list[int]] = []
        self.breaks: Callable[[list[int]], BaseException | None] = lambda counts: None
        self.spoils: Callable[[np.ndarray], bool] = lambda x: False
        self.known: dict[bytes, np.ndarray] = {}

    def learn(self, smiles: str) -> Molecule:
        molecule = _molecule(smiles)
        self.known[molecule.features.pairs.astype(np.int64).tobytes()] = _structure(smiles)
        return molecule

    def __call__(self, batch, x, t, guess=None, half=False, begin=None):
        counts = batch.token_mask.sum(1).tolist()
        self.batches.append(counts)
        self.busy.set()
        assert self.free.wait(PATIENCE_S)
        if (error := self.breaks(counts)) is not None:
            raise error
        target, factor = x.clone(), torch.ones(len(counts), 1, 1)
        for row, count in enumerate(counts):
            known = self.known.get(batch.pairs[row, :count, :count].contiguous().numpy().tobytes())
            if known is not None:
                target[row, :count] = torch.from_numpy(known).to(x)
            # what was spoiled at the start stays so: the guess before tells
            first = float(t[row]) == float(begin[row])
            spoiled = self.spoils(x[row, :count].numpy()) if first else guess[row].norm() > 1.5 * target[row].norm()
            factor[row] = 2.0 if spoiled else 1.0
        return align(target, x, batch.token_mask) * factor


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Errors that tests provoke are not printed; structlog's pretty ones take seconds."""
    before = structlog.get_config()
    configure_logs("critical")
    yield
    structlog.configure(**before)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def model(network: Network) -> Model:
    training = {"prior": "harmonic", "prior_std_ang": 1.0, "coupling": "kabsch"}
    return build_model("stub", network, training, {}, torch.device("cpu"))


@pytest.fixture
def capacity(monkeypatch: pytest.MonkeyPatch) -> Callable[[Capacity], None]:
    """Engines that are made later find this capacity instead of measuring it."""

    def set_to(found: Capacity) -> None:
        monkeypatch.setattr("app.engine.engine.calibrate", lambda model, molecule: found)

    set_to(CAPACITY)
    return set_to


@pytest.fixture
def build(model: Model, network: Network, capacity: object, patient) -> Iterator[Callable[..., Engine]]:
    """Make engines; they are ready, and closed at the end."""
    engines = []

    def make(ready: bool = True, **options) -> Engine:
        options = {"max_waiting": 2000, "drain_s": 0.0} | options
        engines.append(Engine(lambda: model, lambda: _molecule("C"), **options))
        engines[-1].start()
        if ready:
            patient(lambda: engines[-1].ready)
        return engines[-1]

    yield make
    network.breaks = lambda counts: None
    network.free.set()
    for engine in engines:
        engine.close()


@pytest.fixture
def ticket(network: Network) -> Callable[..., Ticket]:
    """A ticket of molecules that the network knows."""

    def make(*smiles: str, count: int = 1, seed: int = 0, steps: int = 3, **rest) -> Ticket:
        names = ("deadline", "priority", "on_molecule")
        fields = {name: rest.pop(name) for name in names if name in rest}
        molecules = [network.learn(text) for text in smiles]
        counts = count if isinstance(count, list) else [count] * len(molecules)
        options = SampleOptions(steps=steps, **rest)
        return Ticket(molecules, counts, [seed] * len(molecules), options, **fields)

    return make


@pytest.fixture
def hold(network: Network) -> Callable[[Engine, Ticket], Ticket]:
    """Submit a ticket and hold the device in its first step."""

    def occupy(engine: Engine, first: Ticket) -> Ticket:
        network.free.clear()
        network.busy.clear()
        engine.submit(first)
        assert network.busy.wait(PATIENCE_S)
        return first

    return occupy
