"""The images are not built here; this checks what can go wrong without building them."""

import json
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = ("Dockerfile", "Dockerfile.cpu")


def instructions(name: str) -> list[tuple[str, str]]:
    """Instruction and arguments of each line, continuation lines joined."""
    lines = [line for line in (ROOT / "docker" / name).read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def last_stage(name: str) -> list[tuple[str, str]]:
    lines = instructions(name)
    return lines[max(k for k, (word, _) in enumerate(lines) if word == "FROM") :]


def environment(name: str) -> dict[str, str]:
    pairs = [pair for word, rest in last_stage(name) if word == "ENV" for pair in shlex.split(rest)]
    return dict(pair.split("=", 1) for pair in pairs)


def sent_to_build(path: str) -> bool:
    """Whether .dockerignore, which is a list of exceptions from `*`, lets a top-level name through."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    return f"!{path}" in rules


@pytest.fixture(params=[200, 503])
def service(request: pytest.FixtureRequest) -> Iterator[tuple[int, int, list[str]]]:
    """Port and status of a server, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(request.param)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, request.param, asked
        server.shutdown()
        thread.join()


def check_health(
    service: tuple[int, int, list[str]], command: list[str], replace: Callable[[str], str] = lambda code: code
) -> None:
    port, status, asked = service
    program, flag, code = command
    assert (program, flag) == ("python", "-c")
    done = subprocess.run([sys.executable, "-c", replace(code)], env={"PORT": str(port)}, capture_output=True)
    assert (done.returncode == 0) == (status == 200), done.stderr
    assert asked == ["/readyz"]


@pytest.mark.parametrize("name", FILES)
def test_copied_files_exist_and_reach_the_build(name):
    copies = [rest.split() for word, rest in instructions(name) if word == "COPY" and "--from" not in rest]
    sources = {source for words in copies for source in words[:-1]}
    assert sources == {"pyproject.toml", "README.md", "app", "models", "weights"}
    assert all((ROOT / source).exists() and sent_to_build(source) for source in sources)


@pytest.mark.parametrize("name", FILES)
def test_image_installs_the_torch_that_the_project_pins(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pin = next(text for text in project["dependencies"] if text.startswith("torch=="))
    runs = " ".join(rest for word, rest in instructions(name) if word == "RUN")
    (torch,) = re.findall(r"torch==\S+", runs)
    cpu = name == "Dockerfile.cpu"
    assert torch == (f"{pin}+cpu" if cpu else pin)
    assert ("--extra-index-url https://download.pytorch.org/whl/cpu" in runs) == cpu


@pytest.mark.parametrize("name", FILES)
def test_image_runs_a_supported_python(name):
    images = {rest.split()[0] for word, rest in instructions(name) if word == "FROM"}
    assert images == {"python:3.11-slim"}  # one image, or the virtual environment would not fit its interpreter


@pytest.mark.parametrize("name", FILES)
def test_image_serves_as_nobody_in_particular(name):
    stage = dict(last_stage(name))
    assert int(stage["USER"]) > 0
    assert stage["WORKDIR"] == "/srv"
    assert json.loads(stage["CMD"]) == ["shapespace", "serve"]
    values = environment(name)
    assert values["PYTHONSAFEPATH"] == "1"
    assert values["HOST"] == "0.0.0.0"
    assert values["PORT"] == stage["EXPOSE"]
    copied = [rest.split() for word, rest in last_stage(name) if word == "COPY"]
    assert ["weights", values["SHAPESPACE_WEIGHTS_DIR"]] in copied


@pytest.mark.parametrize("name", FILES)
def test_image_health_check_asks_whether_the_service_is_ready(name, service):
    check = dict(last_stage(name))["HEALTHCHECK"]
    check_health(service, json.loads(check.partition("CMD ")[2]))


def compose() -> dict:
    return yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_compose_service_is_locked_down(name):
    service = compose()[name]
    assert service["profiles"] == [name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize(("name", "file"), [("cpu", "Dockerfile.cpu"), ("gpu", "Dockerfile")])
def test_compose_builds_the_image_of_its_profile(name, file):
    build = compose()[name]["build"]
    context = (ROOT / "docker" / build["context"]).resolve()
    assert context == ROOT
    assert (context / build["dockerfile"]).samefile(ROOT / "docker" / file)


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_compose_ports_agree(name):
    service = compose()[name]
    address, outside, inside = service["ports"][0].split(":")
    assert (address, outside) == ("127.0.0.1", inside)
    # without keys, so it must not be open to others
    assert service["environment"] == {"HOST": "0.0.0.0", "PORT": int(inside), "SHAPESPACE_API_KEYS": "off"}


def test_compose_health_check_asks_whether_the_service_is_ready(service):
    test = compose()["cpu"]["healthcheck"]["test"]
    assert test[0] == "CMD"
    assert compose()["gpu"]["healthcheck"]["test"] == test
    check_health(service, test[1:], lambda code: code.replace(":8000/", f":{service[0]}/"))


def test_only_the_gpu_profile_reserves_a_gpu():
    devices = compose()["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert "deploy" not in compose()["cpu"]


def test_monitoring_is_open_to_this_host_only_and_finds_its_files():
    services = compose()
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
        assert all(port.startswith("127.0.0.1:") for port in services[name].get("ports", []))
        mounted = [volume.split(":")[0] for volume in services[name]["volumes"]]
        assert all((ROOT / "docker" / place).exists() for place in mounted if place.startswith("./"))


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_prometheus_finds_the_service(name):
    (job,) = yaml.safe_load((ROOT / "docker" / "prometheus.yaml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, port = target.split(":")
    service = compose()[name]
    assert host in service["networks"]["default"]["aliases"]
    assert int(port) == service["environment"]["PORT"]


def test_dashboard_asks_the_source_that_is_provided():
    (source,) = yaml.safe_load((ROOT / "docker/grafana/provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    board = json.loads((ROOT / "docker/grafana/dashboards/shapespace.json").read_text())
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
