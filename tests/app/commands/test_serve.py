import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from rdkit import Chem

from app.access.keys import make_key
from app.access.store import KeyStore
from app.commands.serve import check_access, url_of
from app.database.database import open_database
from app.settings import Settings, SettingsError

COMMAND = str(Path(sys.executable).parent / "shapespace")
CURL = Path("/usr/bin/curl")
PATIENCE_S = 300


class Server:
    """A server in its own process, with its words in a file."""

    def __init__(self, folder, weights, *words, **environment):
        self.log = folder / "log"
        settings = {"SHAPESPACE_THREADS": "1", "SHAPESPACE_WEIGHTS_DIR": str(weights), "NO_COLOR": "1"}
        settings["SHAPESPACE_STATE_DIR"] = str(folder / "state")
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                [COMMAND, "serve", *words], stdout=stream, stderr=stream, env=os.environ | settings | environment
            )

    def words(self):
        return self.log.read_text()

    def wait_ready(self):
        end = time.monotonic() + PATIENCE_S
        while "Try:" not in self.words():
            assert self.process.poll() is None, self.words()
            assert time.monotonic() < end, self.words()
            time.sleep(0.05)
        self.url = re.search(r"Shapespace at (http://\S+)", self.words()).group(1)
        return self

    def children(self):
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True)
        return [int(pid) for pid in listed.stdout.split()]

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def server(tmp_path_factory, weights):
    server = Server(tmp_path_factory.mktemp("serve"), weights, "--port", "0")
    try:
        yield server.wait_ready()
    finally:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def another(tmp_path, weights):
    """Servers of one test."""
    servers = []

    def start(*words, **environment):
        servers.append(Server(tmp_path, environment.pop("weights", weights), *words, **environment))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()


def ask(server, timeout=PATIENCE_S, **fields):
    body = {"molecules": [{"smiles": "CCO"}], "num_conformers": 2, "seed": 1, "sampler": {"steps": 20}, **fields}
    return httpx.post(f"{server.url}/v1/conformers", json=body, timeout=timeout)


def gone(pid):
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return listed.stdout.strip()[:1] in ("", "Z")


def test_server_finishes_what_it_sampled(server):
    finish = {"relax": "mmff94s", "prune_rmsd": 0.125, "rank": True}
    (result,) = ask(server, num_conformers=4, finish=finish).json()["results"]
    assert result["finish"]["problems"] == []
    assert result["num_returned"] + result["num_pruned"] + sum(p["count"] for p in result["problems"]) == 4
    energies = [c["energy_kcal_mol"] for c in result["conformers"]]
    supplier = Chem.SDMolSupplier()
    supplier.SetData(result["structure"], removeHs=False)
    assert [float(mol.GetProp("energy_kcal_mol")) for mol in supplier] == energies == sorted(energies)


def test_server_says_where_it_is_before_the_model_is_loaded(server):
    lines = server.words().splitlines()
    assert lines[0] == f"Shapespace at {server.url} (loading the model)"
    assert any(line.startswith("Ready. Documentation:") for line in lines)


def test_server_answers_over_http(server):
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    assert httpx.get(f"{server.url}/docs").status_code == 200
    answer = ask(server).json()
    (result,) = answer["results"]
    assert result["num_returned"] + sum(p["count"] for p in result["problems"]) == 2
    assert answer["seed"] == 1


def test_server_logs_requests_as_json_lines(server, patient):
    request_id = ask(server).headers["x-request-id"]
    patient(lambda: request_id in server.words())
    (text,) = [line for line in server.words().splitlines() if request_id in line]
    line = json.loads(text)
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/conformers", 200)
    assert line["seconds"] > 0


def test_printed_curl_line_works(server):
    if not CURL.is_file():
        pytest.skip("curl is not installed here")
    line = next(line.strip() for line in server.words().splitlines() if line.strip().startswith("curl "))
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    supplier = Chem.SDMolSupplier()
    supplier.SetData(done.stdout, removeHs=False)
    assert [Chem.MolToSmiles(Chem.RemoveHs(mol)) for mol in supplier] == ["CCO"] * 3


def test_large_body_is_refused_over_http(server):
    headers = {"Content-Type": "application/json"}
    url = f"{server.url}/v1/conformers"
    assert httpx.post(url, content=b" " * 17_000_000, headers=headers).status_code == 413
    chunks = (b" " * 1_000_000 for _ in range(17))
    response = httpx.post(url, content=chunks, headers=headers)
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


def test_caller_who_leaves_frees_the_sampler(server, patient):
    with pytest.raises(httpx.ReadTimeout):
        ask(server, timeout=2, num_conformers=64, sampler={"steps": 1000}, molecules=[{"smiles": "CCCCCCC"}])
    began = time.monotonic()
    assert ask(server).status_code == 200
    assert time.monotonic() - began < 60  # the work that was left takes minutes
    patient(lambda: '"status": 499' in server.words())


def test_port_that_is_taken_is_one_clear_line(server, another):
    port = server.url.rsplit(":", 1)[1]
    second = another("--port", port)
    assert second.process.wait(PATIENCE_S) == 2
    (line,) = second.words().splitlines()
    assert line.startswith(f"error: cannot listen on 127.0.0.1:{port}")
    assert "PORT" in line


def test_missing_weights_are_one_clear_line(another, tmp_path):
    server = another("--port", "0", weights=tmp_path / "nowhere")
    assert server.process.wait(PATIENCE_S) == 2
    (line,) = server.words().splitlines()
    assert line.startswith("error: no registry.json in")
    assert str(tmp_path / "nowhere") in line
    assert "SHAPESPACE_WEIGHTS_DIR" in line


@pytest.mark.parametrize("words", [("--port", "70000"), ("--model", "nonsense"), ("--model", "backbones-small")])
def test_setting_that_makes_no_sense_is_one_clear_line(another, words):
    server = another(*words)
    assert server.process.wait(PATIENCE_S) == 2
    (line,) = server.words().splitlines()
    assert line.startswith("error: ")
    assert words[1] in line


def test_interrupt_ends_the_server_and_its_children(another, patient):
    server = another("--port", "0").wait_ready()
    children = server.children()
    assert children
    began = time.monotonic()
    assert server.end(signal.SIGINT) in (0, 130, -signal.SIGINT)
    assert time.monotonic() - began < 30
    patient(lambda: all(gone(pid) for pid in children))
    assert "Traceback" not in server.words()


def test_weights_that_are_damaged_end_the_server(another, tmp_path, weights):
    damaged = tmp_path / "weights"
    damaged.mkdir()
    (damaged / "registry.json").write_text((weights / "registry.json").read_text())
    (damaged / "molecules-small.safetensors").write_bytes(b"other")
    server = another("--port", "0", weights=damaged)
    assert server.process.wait(PATIENCE_S) == 1
    assert "error: " in server.words()
    assert "SHA-256" in server.words()
    assert "Traceback" not in server.words()


def test_terminated_server_answers_its_callers_and_leaves_nothing(another, patient):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = another(HOST="127.0.0.1", PORT=str(port)).wait_ready()
    assert server.url == f"http://127.0.0.1:{port}"
    children = server.children()
    long = {"num_conformers": 64, "sampler": {"steps": 1000}, "molecules": [{"smiles": "CCCCCCC"}]}
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(ask, server, **long)
        time.sleep(2)
        assert server.end(signal.SIGTERM) in (0, -signal.SIGTERM)
        (result,) = future.result(PATIENCE_S).json()["results"]
    assert "stopped" in [problem["reason"] for problem in result["problems"]]
    patient(lambda: all(gone(pid) for pid in children))
    assert "Traceback" not in server.words()


@pytest.mark.parametrize(
    ("family", "host", "expected"),
    [
        (socket.AF_INET, "127.0.0.1", "http://127.0.0.1:"),
        (socket.AF_INET, "0.0.0.0", "http://127.0.0.1:"),
        (socket.AF_INET6, "::1", "http://[::1]:"),
    ],
)
def test_address_can_be_opened_from_this_machine(family, host, expected):
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"{host} cannot be bound here")
    with listener:
        assert url_of(listener) == f"{expected}{listener.getsockname()[1]}"


def test_service_that_others_can_reach_does_not_start_without_a_key(another):
    server = another("--host", "0.0.0.0", "--port", "0")
    assert server.process.wait(PATIENCE_S) == 2
    (line,) = server.words().splitlines()
    assert line.startswith("error: callers at 0.0.0.0 need an API key")
    assert "shapespace keys create" in line
    assert "SHAPESPACE_API_KEYS=off" in line


@pytest.mark.parametrize(
    ("host", "said", "required"),
    [
        ("127.0.0.1", "auto", False),
        ("127.8.8.8", "auto", False),
        ("::1", "auto", False),
        ("localhost", "auto", False),
        ("0.0.0.0", "auto", True),
        ("::", "auto", True),
        ("10.1.2.3", "auto", True),
        ("shapes.example.org", "auto", True),
        ("0.0.0.0", "off", False),
        ("127.0.0.1", "required", True),
    ],
)
def test_keys_are_needed_where_others_can_reach_the_service(host, said, required, tmp_path):
    settings = Settings(host=host, api_keys=said, state_dir=tmp_path)
    assert settings.keys_required == required
    database = open_database(settings)
    try:
        if not required:
            check_access(settings, database)
            return
        with pytest.raises(SettingsError, match="API key"):
            check_access(settings, database)
        key, _ = make_key("alice", expires=datetime.now(UTC) - timedelta(seconds=1))
        KeyStore(database).add(key)
        with pytest.raises(SettingsError, match="API key"):
            check_access(settings, database)  # one that has expired is none
        KeyStore(database).add(make_key("bob")[0])
        check_access(settings, database)
    finally:
        database.close()
