"""Logs: one JSON object a line on standard error, without secrets."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog

_SECRETS = re.compile(r"shp_[0-9a-f]+_[\w-]+|(?i:bearer)\s+[\w.~+/=-]+|(?<=://)[^/@\s:]+:[^/@\s]+(?=@)")
_JOB_ID = re.compile(r"(?<=/v1/jobs/)([\w-]{8})[\w-]+")  # who knows all of it may see the job
_LIBRARIES = ("uvicorn.error", "alembic", "sqlalchemy", "asyncio")


def configure_logs(level: str) -> None:
    """JSON lines on standard error, from this level on; what libraries say from warnings on is put into them too."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
            _without_secrets,  # type: ignore[list-item]
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=_StandardError()),  # type: ignore[arg-type]
    )
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [_Bridge(max(number, logging.WARNING))], False
        logger.setLevel(max(number, logging.WARNING))


def shortened(path: str) -> str:
    """The path of a request without all of a job's id."""
    return _JOB_ID.sub(r"\1...", path)


def _without_secrets(logger: Any, name: str, line: str) -> str:
    """The line with API keys and the passwords of addresses taken out, whatever part of it they were in."""
    return _SECRETS.sub("[secret]", line)


class _Bridge(logging.Handler):
    """Hands the lines of a library to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        log = structlog.get_logger(record.name)
        log.log(record.levelno, "library", logger=record.name, words=record.getMessage(), exc_info=record.exc_info)


class _StandardError:
    """Standard error of the moment, which tests and servers may replace."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()
