"""The examples of the README, and of the pages for operators and on backbones, run as they are shown."""

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
COMMAND = str(Path(sys.executable).parent / "shapespace")
PAGES = ("README.md", "docs/operating.md", "docs/backbones.md")
FENCES = [
    fence for page in PAGES for fence in re.findall(r"```(bash|python)\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    log = folder / "log"
    environment = os.environ | {"SHAPESPACE_THREADS": "1", "SHAPESPACE_STATE_DIR": str(folder / "state")}
    with log.open("w") as stream:
        server = subprocess.Popen([COMMAND, "serve", "--port", "0"], stderr=stream, cwd=ROOT, env=environment)
    try:
        for _ in range(600):
            found = re.search(r"http://[\d.:]+", log.read_text())
            if found and server.poll() is None and _ready(found.group()):
                break
            time.sleep(0.2)
        else:
            pytest.fail(f"the service did not get ready: {log.read_text()}")
        yield found.group()
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def folder(tmp_path):
    """A place that looks like a checkout to the examples, and that they may write to."""
    for name in ("weights", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "shapespace").symlink_to(COMMAND)
    return tmp_path


@pytest.mark.parametrize(("language", "text"), FENCES, ids=[f"{k}-{kind}" for k, (kind, _) in enumerate(FENCES)])
def test_readme_example_runs(language, text, address, folder):
    text = lighten(text.replace("http://127.0.0.1:8000", address))
    if language == "bash" and "curl" in text and shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    program = ["bash", "-e", "-c"] if language == "bash" else [sys.executable, "-c"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SHAPESPACE_THREADS": "1"}
    done = subprocess.run([*program, text], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode in ((0, 1) if "sample docs" in text else (0,)), done.stderr
    if "mdl-sdfile" in text:
        assert done.stdout.count("$$$$") == 5, done.stdout
    if language == "python":
        assert "ok" in done.stdout, done.stdout
    if "/v1/backbones" in text and "application/zip" in text:
        assert zipfile.is_zipfile(folder / "backbones.zip"), (folder / "backbones.zip").read_text()
    elif "/v1/backbones" in text and "respond-async" in text:
        assert "/v1/jobs/" in done.stdout, done.stdout
    elif "/v1/backbones" in text:
        assert '"num_returned":1' in done.stdout, done.stdout
    for wanted in re.findall(r"-o (out/\S+)", text):
        assert (folder / wanted).exists(), f"{wanted} was not made: {done.stderr}"


def lighten(text):
    """One backbone of each length, of few steps and whether it passes or not: as they are shown they take minutes."""
    wish = r'\1 1, "sampler": {"steps": 10}, "keep_failed": true'
    text = re.sub(r'("lengths": .*?"num_samples":) \d+', wish, text)
    text = re.sub(r"(backbones\(.*?)num_samples=\d+", r"\1num_samples=1, sampler={'steps': 10}, keep_failed=True", text)
    return re.sub(r"(--length .*?)-n \d+", r"\1-n 1 --steps 10 --keep-failed", text)


def test_examples_of_backbones_are_there_and_made_light():
    shown = [text for _, text in FENCES if re.search(r"/v1/backbones|--length|\.backbones\(", text)]
    assert sum(text.count("/v1/backbones") for text in shown) >= 2 <= sum(text.count("--length") for text in shown)
    assert all(re.search("\"steps\": 10|'steps': 10|--steps 10", lighten(text)) for text in shown)


def test_readme_has_both_commands_and_examples_of_both_kinds():
    text = (ROOT / "README.md").read_text()
    assert "```sh\nmake serve\n```" in text
    assert "```sh\nmake test\n```" in text
    assert {kind for kind, _ in FENCES} == {"bash", "python"}


def _ready(address):
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False
