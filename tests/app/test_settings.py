import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, build_settings, default_weights_dir
from models.errors import ModelError

NAMES = {name: f"SHAPESPACE_{name.upper()}" for name in Settings.model_fields}
OTHER = {
    "host": "0.0.0.0", "port": "81", "weights_dir": "elsewhere", "model": "other",
    "backbone_model": "other", "max_lengths": "3", "max_samples": "4", "max_residues": "500",
    "device": "cpu", "threads": "3",
    "half": "true", "max_molecules": "5", "max_conformers": "6", "max_total_conformers": "7", "max_body_mb": "0.5",
    "max_waiting": "8", "body_timeout_s": "2.5", "max_connections": "10", "api_keys": "required",
    "requests_per_minute": "11", "conformers_per_hour": "12",
    "request_timeout_s": "9.5", "drain_s": "3.5", "stuck_after_s": "30.0",
    "parse_processes": "4", "parse_timeout_s": "1.5",
    "parse_memory_mb": "900", "parse_jobs": "9", "otel_endpoint": "http://127.0.0.1:4318/v1/traces",
    "state_dir": "elsewhere", "database_url": "sqlite:///other.db",
    "results_url": "memory://results", "async_above": "0.5", "async_above_residues": "7.5",
    "max_jobs": "9", "jobs_at_once": "2",
    "job_in_flight": "128", "job_lease_s": "1.5", "job_retention_h": "2.5", "log_level": "debug",
}  # fmt: skip


def test_every_setting_is_described():
    assert all(field.description and field.description.endswith(".") for field in Settings.model_fields.values())


def test_every_setting_is_tried_here():
    assert set(OTHER) == set(Settings.model_fields)


@pytest.mark.parametrize("name", OTHER)
def test_setting_is_read_from_the_environment(name, monkeypatch):
    monkeypatch.delenv(NAMES[name], raising=False)
    before = getattr(Settings(), name)
    monkeypatch.setenv(NAMES[name], OTHER[name])
    after = getattr(Settings(), name)
    assert after != before
    assert str(after).lower() == OTHER[name]


def test_host_and_port_have_short_names_too(monkeypatch):
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setenv("PORT", "8123")
    assert (Settings().host, Settings().port) == ("0.0.0.0", 8123)
    monkeypatch.setenv("SHAPESPACE_PORT", "8124")
    assert Settings().port == 8124


def test_what_is_given_goes_before_the_environment(monkeypatch):
    for name, value in {"HOST": "0.0.0.0", "PORT": "8123", "SHAPESPACE_MODEL": "other"}.items():
        monkeypatch.setenv(name, value)
    settings = build_settings(host="127.0.0.1", port=0, model=None)
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 0, "other")


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


@pytest.mark.parametrize(("name", "value"), [("PORT", "abc"), ("PORT", "70000"), ("SHAPESPACE_THREADS", "-1")])
def test_setting_that_makes_no_sense_is_refused_by_name(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(ModelError, match=f"(?s)(?=.*{name.removeprefix('SHAPESPACE_')})(?=.*{value})"):
        build_settings()


def test_weights_are_looked_for_in_the_working_directory_first(tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    assert default_weights_dir() == root / "weights"
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "registry.json").write_text("{}")
    assert default_weights_dir() == Path("weights")


@pytest.mark.parametrize("name", OTHER)
def test_page_for_operators_lists_the_setting_as_it_is(name, root, monkeypatch):
    monkeypatch.delenv(NAMES[name], raising=False)
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", (root / "docs" / "operating.md").read_text(), re.MULTILINE)
    listed = {row[0]: row[1:] for row in rows}
    assert NAMES[name] in listed
    default = "weights" if name == "weights_dir" else str(getattr(Settings(), name)).lower()
    assert listed[NAMES[name]] == (default, Settings.model_fields[name].description)
