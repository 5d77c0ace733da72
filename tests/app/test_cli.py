import subprocess
import sys
from pathlib import Path

import pytest
import typer

from app import __version__
from app.cli import cli, main
from models.errors import SamplerError

COMMAND = str(Path(sys.executable).parent / "shapespace")
VERBS = sorted(typer.main.get_command(cli).commands)


def test_every_verb_is_there():
    assert {"serve", "sample", "train", "evaluate", "bench", "draw", "ship"} <= set(VERBS)


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["shapespace", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code or 0


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_teaches_by_example(verb, monkeypatch, capsys):
    assert call(monkeypatch, verb, "--help") == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Example" in text
    assert f"shapespace {verb}" in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_explained(verb):
    for parameter in typer.main.get_command(cli).commands[verb].params:
        assert getattr(parameter, "help", None), parameter.name


def test_version_is_printed(monkeypatch, capsys):
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_help_lists_the_verbs(words, monkeypatch, capsys):
    assert call(monkeypatch, *words) in (0, 2)
    captured = capsys.readouterr()
    assert all(verb in captured.out + captured.err for verb in VERBS)


@pytest.mark.parametrize("words", [("--help",), ("sample", "--help")])
def test_help_loads_nothing_heavy(words):
    code = (
        "import sys, app.cli\n"
        f"sys.argv = ['shapespace', *{words!r}]\n"
        "try: app.cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'rdkit', 'numpy', 'fastapi', 'matplotlib', 'biotite'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_command_is_installed():
    done = subprocess.run([COMMAND, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "sample" in done.stdout


def test_refusal_is_one_line_and_a_code(monkeypatch, capsys):
    def refuse(*args):
        raise SamplerError("this does not fit; do that")

    monkeypatch.setattr("app.commands.bench.run", refuse)
    assert call(monkeypatch, "bench") == 2
    assert capsys.readouterr().err == "error: this does not fit; do that\n"


@pytest.mark.parametrize("words", [("sample", "CCO"), ("nonsense",), ("sample", "CCO", "-o", "a.sdf", "-n", "0")])
def test_wrong_use_is_refused(words, monkeypatch, capsys):
    assert call(monkeypatch, *words) == 2
    assert "Usage" in capsys.readouterr().err


def test_stereo_is_one_of_two_words(monkeypatch, capsys):
    assert call(monkeypatch, "sample", "CCO", "-o", "a.sdf", "--stereo", "all") == 2
    assert "sample, enumerate" in " ".join(capsys.readouterr().err.split())
