"""Servers are killed at random, and so are their child processes, while they work on jobs; two share a database."""

import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from biotite.structure.io.pdb import PDBFile
from rdkit import Chem
from sqlalchemy import select

from app.client import Client
from app.database.database import Database
from app.jobs.record import ENDED, Job, JobItem

PATIENCE_S = 300
MOLECULE = ("id", "smiles", "status", "num_requested", "num_returned", "num_pruned", "problems")
LENGTH = ("index", "id", "length", "status", "num_requested", "num_returned", "reason")


def request(*smiles, **fields):
    return {"molecules": [{"smiles": text} for text in smiles], **fields}


REQUESTS = (
    request("CCO", "CC", "C(C", "CCN", "C=O", "CO", num_conformers=3, seed=1),
    {"lengths": [40, 48, 40], "num_samples": 2, "seed": 5, "sampler": {"steps": 8}, "keep_failed": True},
    request("OC(F)C", "CC#N", "CCC", num_conformers=2, seed=7, stereo="enumerate"),
    request("CCCO", "NCC=O", num_conformers=4, seed=3, finish={"relax": "mmff94s", "prune_rmsd": 0.125, "rank": True}),
    request("C1CC1O", "CC=C", num_conformers=70, seed=11, sampler={"steps": 2}),
)


class Fortress:
    """Two servers with one database, and what is needed to kill and raise them."""

    def __init__(self, nursery, folder, weights, database_url):
        self.folder, self.nursery, self.raised = folder, nursery, 0
        self.ports = [free_port(), free_port()]
        self.servers = [None, None]
        self.environment = {
            "SHAPESPACE_DATABASE_URL": database_url, "SHAPESPACE_WEIGHTS_DIR": str(weights),
            "SHAPESPACE_RESULTS_URL": f"{folder}/results", "SHAPESPACE_JOB_LEASE_S": "2",
            "SHAPESPACE_PARSE_TIMEOUT_S": "60", "SHAPESPACE_PARSE_PROCESSES": "1",
        }  # fmt: skip

    def ask(self, **command):
        self.nursery.stdin.write(json.dumps(command) + "\n")
        self.nursery.stdin.flush()
        return self.nursery.stdout.readline().strip()

    def start(self, slot):
        own = {"SHAPESPACE_STATE_DIR": f"{self.folder}/state{slot}", "SHAPESPACE_PORT": str(self.ports[slot])}
        log = f"{self.folder}/log{slot}"
        self.servers[slot] = int(self.ask(start=self.environment | own, log=log))

    def kill(self, slot):
        orphans = children(self.servers[slot])
        assert self.ask(kill=self.servers[slot]) == "killed"
        self.servers[slot] = None
        return orphans

    def check(self):
        """All servers are there, unless it was us who killed them."""
        for slot, process in enumerate(self.servers):
            if self.ask(look=process) != "alive":
                words = Path(f"{self.folder}/log{slot}").read_text()[-2000:]
                raise AssertionError(f"server {slot} has ended by itself: {words}")

    def url(self, slot):
        return f"http://127.0.0.1:{self.ports[slot]}"


@pytest.fixture
def fortress(tmp_path, weights, database_url):
    nursery = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("nursery.py"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert nursery.stdout.readline() == "ready\n"
    yield Fortress(nursery, tmp_path, weights, database_url)
    nursery.stdin.close()
    nursery.wait(PATIENCE_S)
    nursery.stdout.close()


def free_port():
    """A port that stays ours while its server is away: no connection of others begins at so low a number."""
    for port in random.sample(range(20_000, 30_000), 1000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def children(process):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True)
    return [int(pid) for pid in listed.stdout.split()]


def is_alive(process):
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True)
    return listed.stdout.strip()[:1] not in ("", "Z")


def wait_until(condition, what, check=lambda: None):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        check()
        assert time.monotonic() < end, what
        time.sleep(0.05)


def besiege(fortress, database, kills, seed):
    """So many kills, with jobs all the time; how many of each sort, and the submitted jobs by their number."""
    chance, counts = random.Random(seed), {"server": 0, "child": 0, "in mid-job": 0}
    submitters, submitted, orphans, files = ThreadPoolExecutor(4), [], [], {}

    def submit(number):
        request = REQUESTS[number % len(REQUESTS)]
        with Client(fortress.url(number % 2), retries=60) as client:
            send = client.submit_backbones if "lengths" in request else client.submit
            return send(**request, idempotency_key=f"job {number}").id

    def states():
        with database.read() as session:
            return dict(session.execute(select(Job.id, Job.state)).all())

    def look():
        """Items that are done; what was recorded once stays as it is."""
        done = select(JobItem.job_id, JobItem.place, JobItem.sequence, JobItem.file)
        with database.read() as session:
            rows = session.execute(done.where(JobItem.sequence.is_not(None))).all()
        found = {(row.job_id, row.place): (row.sequence, row.file) for row in rows}
        assert files.items() <= found.items(), "a result was lost, or made again"
        files.update(found)
        return len(found)

    def feed():
        """There is always work, also while something is waited for."""
        fortress.check()
        busy = sum(state not in ENDED for state in states().values()) + sum(not s.done() for s in submitted)
        for _ in range(3 - busy):
            submitted.append(submitters.submit(submit, len(submitted)))

    for slot in (0, 1):
        fortress.start(slot)
    while counts["server"] + counts["child"] < kills:
        feed()
        if chance.random() < 0.85:  # else it may not have got anywhere
            before = look()
            wait_until(lambda before=before: look() > before, "nothing is made any more", feed)
        time.sleep(chance.random() * chance.choice((0.02, 0.2, 1.0)))
        slot = chance.randrange(2)
        victims = children(fortress.servers[slot])
        if victims and chance.random() < 0.3:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(victims), signal.SIGKILL)
                counts["child"] += 1
        else:
            counts["in mid-job"] += "running" in states().values()
            orphans += fortress.kill(slot)
            counts["server"] += 1
            fortress.start(slot)
    made = [job_id.result(PATIENCE_S) for job_id in submitted]
    wait_until(lambda: look() and all(state in ENDED for state in states().values()), "jobs do not end", fortress.check)
    wait_until(lambda: not any(map(is_alive, orphans)), "children outlive their server")
    submitters.shutdown()
    assert sorted(states()) == sorted(made), "a job was lost, or made twice"
    return counts, made


def check_results(fortress, jobs):
    """Each job has all results once, and they are those of a request that nobody disturbed."""
    with httpx.Client(base_url=fortress.url(0), timeout=PATIENCE_S) as peace:
        compare(peace, jobs)


def compare(peace, jobs):
    calm = {}
    wait_until(lambda: is_ready(peace), "the server does not start")
    for number, job_id in enumerate(jobs):
        kind = number % len(REQUESTS)
        path, names = ("/v1/backbones", LENGTH) if "lengths" in REQUESTS[kind] else ("/v1/conformers", MOLECULE)
        if kind not in calm:
            calm[kind] = peace.post(path, json=REQUESTS[kind]).json()["results"]
        job = peace.get(f"/v1/jobs/{job_id}").json()
        assert (job["state"], job["problem"]) == ("done", None)
        stream = peace.get(f"/v1/jobs/{job_id}/events").text
        told = [json.loads(line[6:])["place"] for line in stream.split("\n") if line.startswith('data: {"place"')]
        assert sorted(told) == list(range(size(number))), "an event is missing, or came twice"
        made = peace.get(f"/v1/jobs/{job_id}/result").json()["results"]
        assert len(made) == len(calm[kind])
        for one, other in zip(made, calm[kind], strict=True):
            for name in names:
                assert one[name] == other[name]
            a, b = (result.get("conformers", result.get("samples")) for result in (one, other))
            assert [structure["seed"] for structure in a] == [structure["seed"] for structure in b]
            for x, y in zip(shapes(one), shapes(other), strict=True):
                assert np.abs(x - y).max() < 0.01  # Å; sums depend on who shares a batch in the last bits


def size(number):
    """Items of the job of this number."""
    request = REQUESTS[number % len(REQUESTS)]
    return len(request.get("molecules", request.get("lengths")))


def is_ready(client):
    with suppress(httpx.TransportError):
        return client.get("/readyz").status_code == 200
    return False


def shapes(result):
    if "samples" in result:
        return [PDBFile.read(io.StringIO(sample["structure"])).get_coord(1) for sample in result["samples"]]
    if result["structure"] is None:
        return []
    supplier = Chem.SDMolSupplier()
    supplier.SetData(result["structure"], removeHs=False)
    return [mol.GetConformer().GetPositions() for mol in supplier]


def survive(fortress, database_url, kills, seed):
    with closing(Database(database_url)) as database:
        database.upgrade()
        counts, jobs = besiege(fortress, database, kills, seed)
    check_results(fortress, jobs)
    items = sum(map(size, range(len(jobs))))
    killed = (
        f"{counts['server']} servers ({counts['in mid-job']} with a job running), {counts['child']} children killed"
    )
    print(f"{killed}; {len(jobs)} jobs, {items} molecules and lengths")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_few_kills_lose_nothing_and_double_nothing(fortress, database_url):
    survive(fortress, database_url, kills=4, seed=1)


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing_and_double_nothing(fortress, database_url):
    survive(fortress, database_url, kills=200, seed=2)
