"""A server in its own process, for tests that take minutes."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).parent / "shapespace")
PATIENCE_S = 300


class Server:
    """`shapespace serve`, with its words in a file."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.log = folder / "log"
        settings = {"SHAPESPACE_THREADS": "1", "SHAPESPACE_PARSE_PROCESSES": "2", "SHAPESPACE_LOG_LEVEL": "warning"}
        settings |= {"SHAPESPACE_WEIGHTS_DIR": str(weights), "SHAPESPACE_STATE_DIR": str(folder / "state")}
        settings |= {"SHAPESPACE_JOB_RETENTION_H": "0.02", "SHAPESPACE_PARSE_JOBS": "200"}
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                [COMMAND, "serve", "--port", "0"], stdout=stream, stderr=stream, env=os.environ | settings
            )
        end = time.monotonic() + PATIENCE_S
        while "Try:" not in self.words():
            assert self.process.poll() is None, self.words()
            assert time.monotonic() < end, self.words()
            time.sleep(0.1)
        self.url = re.search(r"Shapespace at (http://\S+)", self.words()).group(1)

    def words(self) -> str:
        return self.log.read_text()

    def memory_mb(self) -> float:
        """Memory of the server itself; its child processes are replaced now and then."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000

    def files(self) -> int:
        """Open files, sockets and pipes."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))


@pytest.fixture
def server(tmp_path: Path, weights: Path) -> Iterator[Server]:
    server = Server(tmp_path, weights)
    try:
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(60)
        finally:
            server.process.kill()
