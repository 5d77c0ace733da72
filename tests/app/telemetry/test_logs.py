import json
import logging

import pytest
import structlog

from app.telemetry.logs import configure_logs


@pytest.fixture(autouse=True)
def _own_configuration():
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_logs_are_json_lines_from_the_level_on(level, capsys):
    configure_logs(level)
    log = structlog.get_logger("test")
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("something", size=3)
    written, number = lines(capsys), logging.getLevelNamesMapping()[level.upper()]
    assert [line["level"] for line in written] == [
        n for n in ("debug", "info", "warning", "error") if logging.getLevelNamesMapping()[n.upper()] >= number
    ]
    assert all(line["event"] == "something" and line["size"] == 3 and "timestamp" in line for line in written)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.DEF-123", "abc.DEF-123"),
        ("the key shp_0123456789ab_q-W_e7 was sent", "q-W_e7"),
        ("postgresql://shape:hunter2@db.internal/jobs is gone", "hunter2"),
    ],
)
def test_logs_hold_no_secret_wherever_it_stands(text, secret, capsys):
    configure_logs("info")
    log = structlog.get_logger("test")
    log.info(text, more=[text], deep={"headers": {"x": text}})
    try:
        raise RuntimeError(text)
    except RuntimeError:
        log.error("failed", exc_info=True)
    written = capsys.readouterr().err
    assert secret not in written
    assert written.count("[secret]") >= 4
    assert all(json.loads(line) for line in written.splitlines())


def test_words_of_libraries_are_lines_too(capsys):
    configure_logs("info")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request %s.", "received")
    logging.getLogger("uvicorn.error").info("not worth a line")
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["words"]) == ("library", "warning", "Invalid HTTP request received.")


def test_lines_carry_what_is_bound_to_the_request(capsys):
    configure_logs("info")
    with structlog.contextvars.bound_contextvars(request_id="abc"):
        structlog.get_logger("test").info("inside")
    structlog.get_logger("test").info("outside")
    inside, outside = lines(capsys)
    assert inside["request_id"] == "abc"
    assert "request_id" not in outside
