"""All settings in one frozen object, read from the environment: name, default, unit, help."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.errors import ModelError

# The schema refuses longer lists before it looks at their members, so that a huge body costs nothing.
MOLECULES_CEILING = 4096
LENGTHS_CEILING = 1024


class SettingsError(ModelError):
    """A setting has a value that is not allowed."""

    reason = "invalid_settings"


def default_weights_dir() -> Path:
    """`weights` in the working directory, or else beside the packages (a checkout)."""
    here = Path("weights")
    return here if (here / "registry.json").is_file() else Path(__file__).resolve().parents[1] / "weights"


class Settings(BaseSettings):
    """Settings of the service; each is the environment variable `SHAPESPACE_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="SHAPESPACE_", frozen=True, extra="ignore", populate_by_name=True)

    host: str = Field(
        "127.0.0.1",
        validation_alias=AliasChoices("SHAPESPACE_HOST", "HOST"),
        description="Address to listen on. `HOST` is honoured too.",
    )
    port: int = Field(
        8000,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("SHAPESPACE_PORT", "PORT"),
        description="Port to listen on; 0 takes a free one. `PORT` is honoured too.",
    )
    weights_dir: Path = Field(
        default_factory=default_weights_dir, description="Folder with `registry.json` and the weights."
    )
    model: str = Field("molecules-small", description="Name of the model in the registry.")
    backbone_model: str = Field(
        "backbones-small",
        description="Name of the model of protein backbones; empty serves none, nor does the default where it is not "
        "registered.",
    )
    device: str = Field("auto", description="`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, ...")
    threads: int = Field(
        0, ge=0, description="CPU threads of the sampler; 0 takes torch's default, and the service one less."
    )
    half: bool = Field(
        False, description="Run matrix products in bfloat16: faster on GPUs and new CPUs, results differ a little."
    )
    max_molecules: int = Field(256, ge=1, le=MOLECULES_CEILING, description="Molecules in one request.")
    max_conformers: int = Field(1000, ge=1, description="Conformers of one molecule.")
    max_total_conformers: int = Field(25_600, ge=1, description="Conformers of one request, all molecules together.")
    max_lengths: int = Field(64, ge=1, le=LENGTHS_CEILING, description="Lengths of one request for backbones.")
    max_samples: int = Field(256, ge=1, description="Backbones of one length.")
    max_residues: int = Field(
        1_000_000, ge=1, description="Residues of all backbones of one request, counted with 100 steps each."
    )
    max_body_mb: float = Field(16.0, gt=0, description="Size of a request body, MB.")
    body_timeout_s: float = Field(30.0, gt=0, description="Time for a request to arrive, s; what is slower is cut off.")
    max_connections: int = Field(1000, ge=1, description="Open connections; then idle ones are cut.")
    api_keys: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Who may ask: `required` is callers with a key, `off` is everybody, and `auto` is everybody on a "
        "loopback address and callers with a key on any other.",
    )
    requests_per_minute: int = Field(
        0,
        ge=0,
        description="Sampling requests of one caller in a minute, unless its key says otherwise; 0 is no limit.",
    )
    conformers_per_hour: int = Field(
        0, ge=0, description="Conformers and backbones that one caller may ask for in an hour, likewise; 0 is no limit."
    )
    max_waiting: int = Field(64, ge=1, description="Requests that may wait for the sampler; more get 503.")
    request_timeout_s: float = Field(
        600.0, gt=0, description="Time for one request, s; what is missing then is reported as `stopped`."
    )
    drain_s: float = Field(
        10.0,
        ge=0,
        description="Time for what is being sampled when the service is told to end, s; the rest is `stopped`.",
    )
    stuck_after_s: float = Field(
        60.0, gt=0, description="A sampler step that takes longer, s, is a breakdown: not ready, and started again."
    )
    parse_processes: int = Field(
        2,
        ge=1,
        description="Child processes that read molecules, make ETKDG guesses and finish ensembles; one more is spare, "
        "as many again run while molecules take long, and up to 8 more wait, stopped, for that.",
    )
    parse_timeout_s: float = Field(
        4.0,
        gt=0,
        description="Processor time for reading a molecule, s; a quarter of it with more than 12 rings. An ETKDG guess "
        "has as much at 96 atoms, more or less by their number, relaxing a conformer four times as much. By the clock "
        "each may take ten times as long.",
    )
    parse_memory_mb: int = Field(3000, ge=500, description="Address space of one child process, MB.")
    state_dir: Path = Field(
        Path("state"), description="Folder of what outlasts the process; is made, and must not be lost."
    )
    database_url: str = Field(
        "",
        repr=False,
        description="`postgresql://USER:PASSWORD@HOST/NAME` (extra `postgres`); by default SQLite in the state folder.",
    )
    results_url: str = Field(
        "",
        description="Folder or fsspec URL for results of jobs, one for all servers; by default in the state folder.",
    )
    async_above: float = Field(
        5000.0,
        ge=0,
        description="A request for more conformers than this, counted with 50 steps each, becomes a job; so does one "
        "that is likely to take more than half of `request_timeout_s`.",
    )
    async_above_residues: float = Field(
        20_000.0,
        ge=0,
        description="A request for backbones with more residues than this, counted with 100 steps each, becomes a job; "
        "likewise.",
    )
    max_jobs: int = Field(1000, ge=1, description="Jobs that may be queued or running; more get 503.")
    jobs_at_once: int = Field(4, ge=1, description="Jobs of one server that run at once; others are queued.")
    job_in_flight: int = Field(
        1024,
        ge=1,
        description="Conformers and backbones of jobs that may be with the sampler at once, or one molecule or length "
        "with more.",
    )
    job_lease_s: float = Field(15.0, gt=0, description="Time after which a silent server's jobs are taken over, s.")
    job_retention_h: float = Field(
        72.0, gt=0, description="Time for which a job and its result are kept after its end, h."
    )
    parse_jobs: int = Field(1000, ge=1, description="Jobs that a child process does before it is replaced.")
    otel_endpoint: str = Field(
        "",
        description="Where traces go, such as `http://127.0.0.1:4318/v1/traces` (OTLP over HTTP; needs the extra "
        "`otel`); empty is nowhere.",
    )
    log_level: str = Field("info", description="`debug`, `info`, `warning` or `error`.")

    @property
    def keys_required(self) -> bool:
        """Whether callers need a key."""
        if self.api_keys != "auto":
            return self.api_keys == "required"
        try:
            return not ip_address(self.host).is_loopback
        except ValueError:
            return self.host != "localhost"


def build_settings(**given: Any) -> Settings:
    """Settings from the environment, with those given that are not None in their place.

    Raises:
        SettingsError: A value is not allowed.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        words = [f"{str(e['loc'][0]).upper()} is {e['input']!r}: {e['msg'].lower()}" for e in error.errors()]
        raise SettingsError("; ".join(words) + " (settings are options or SHAPESPACE_<NAME>)") from None
