import subprocess
import sys
from pathlib import Path

import pytest
import typer

from app import __version__
from app.cli import cli
from models.errors import SamplerError

COMMAND = str(Path(sys.executable).parent / "shapespace")
VERBS = sorted(typer.main.get_command(cli).commands)


def test_every_verb_is_there():
    assert {"serve", "sample", "train", "evaluate", "bench", "draw", "ship"} <= set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_teaches_by_example(verb, shapespace):
    code, printed, _ = shapespace(verb, "--help")
    text = " ".join(printed.replace("│", " ").split())
    assert code == 0 and "Example" in text
    assert f"shapespace {verb}" in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_explained(verb):
    for parameter in typer.main.get_command(cli).commands[verb].params:
        assert getattr(parameter, "help", None), parameter.name


def test_version_is_printed(shapespace):
    assert shapespace("--version")[:2] == (0, f"{__version__}\n")


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_help_lists_the_verbs(words, shapespace):
    code, printed, said = shapespace(*words)
    assert code in (0, 2) and all(verb in printed + said for verb in VERBS)


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


def test_refusal_is_one_line_and_a_code(monkeypatch, shapespace):
    def refuse(*args):
        raise SamplerError("this does not fit; do that")

    monkeypatch.setattr("app.commands.bench.run", refuse)
    assert shapespace("bench") == (2, "", "error: this does not fit; do that\n")


@pytest.mark.parametrize("words", [("sample", "CCO"), ("nonsense",), ("sample", "CCO", "-o", "a.sdf", "-n", "0")])
def test_wrong_use_is_refused(words, shapespace):
    code, _, said = shapespace(*words)
    assert code == 2 and "Usage" in said


def test_stereo_is_one_of_two_words(shapespace):
    code, _, said = shapespace("sample", "CCO", "-o", "a.sdf", "--stereo", "all")
    assert code == 2 and "sample, enumerate" in " ".join(said.split())
