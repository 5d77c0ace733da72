import json
import re

import pytest
from biotite.structure.io.pdbx import BinaryCIFFile
from rdkit import Chem
from typer.testing import CliRunner

from app.cli import cli
from models.errors import ModelError


@pytest.fixture
def run(served, monkeypatch):
    """The command, with a service behind a real port."""
    monkeypatch.setenv("SHAPESPACE_URL", served())

    def call(*words):
        done = CliRunner().invoke(cli, [str(word) for word in words])
        if isinstance(done.exception, ModelError):
            raise done.exception
        return done

    return call


def test_submitted_job_is_listed_and_fetched(run, tmp_path):
    (tmp_path / "in.smi").write_text("CCO ethanol\nCC ethane\nCC ethane\n")
    submitted = run("submit", tmp_path / "in.smi", "-n", 2, "--seed", 1)
    assert submitted.exit_code == 0, submitted.output
    address = submitted.stdout.strip()
    job_id = re.fullmatch(r"http://127.0.0.1:\d+/v1/jobs/([\w-]{32})", address).group(1)
    out = tmp_path / "new" / "out.sdf"
    fetched = run("result", address, "-o", out)
    assert fetched.exit_code == 0, fetched.output
    assert "done: 6 of 6 conformers" in fetched.stderr
    assert [mol.GetProp("_Name") for mol in Chem.SDMolSupplier(str(out))] == [
        "ethanol", "ethanol", "ethane", "ethane", "ethane'", "ethane'"
    ]  # fmt: skip
    assert f"{job_id} conformers done 3/3 (100%) 6/6" in words_of(run("jobs", "--state", "done"))
    assert job_id not in run("jobs", "--state", "running").stdout
    shown = words_of(run("jobs", address))
    assert shown.endswith("ethanol ok 2/2 ethane ok 2/2 ethane' ok 2/2")
    assert job_id in shown


@pytest.mark.parametrize("name", ["out.sdf", "out.pdb", "out.xyz", "out.cif", "out.json", "out.zip"])
def test_result_is_written_by_its_extension(run, tmp_path, name):
    address = run("submit", "CC", "-n", 1, "--seed", 1).stdout.strip()
    assert run("result", address, "-o", tmp_path / name).exit_code == 0
    begin = {"sdf": b"molecule-1", "zip": b"PK", "json": b"{", "xyz": b"8\n", "cif": b"data_"}
    assert (tmp_path / name).read_bytes().startswith(begin.get(name[4:], b""))
    assert [path.name for path in tmp_path.glob("out*")] == [name]


def test_options_are_those_of_a_request(run, tmp_path):
    words = "--start noise --steps 7 --stereo enumerate --relax mmff94s --rank --format xyz -n 1 --seed 1"
    address = run("submit", "CC(F)O", *words.split()).stdout.strip()
    run("result", address, "-o", tmp_path / "out.json")
    text = (tmp_path / "out.json").read_text()
    assert '"steps":7' in text.replace(" ", "")
    assert text.count('"num_requested"') == 2


def test_name_of_a_job_makes_it_once(run):
    words = ("submit", "CC", "--idempotency-key", "mine", "--seed", 1)
    assert run(*words).stdout == run(*words).stdout


def test_molecule_that_fails_makes_the_exit_code_1(run, tmp_path):
    address = run("submit", "C(C").stdout.strip()
    fetched = run("result", address, "-o", tmp_path / "out.json")
    assert fetched.exit_code == 1
    assert f"see shapespace jobs {address}" in fetched.stderr
    assert (tmp_path / "out.json").read_bytes().startswith(b"{")
    assert "failed" in run("jobs", address).stdout
    with pytest.raises(ModelError, match="none of the molecules gave a structure"):
        run("result", address, "-o", tmp_path / "out.sdf")


def test_job_is_cancelled(served, run, tools, tmp_path):
    url = served(tools.QuickEngine(tickets=0), state_dir=tmp_path / "other")
    address = run("submit", "CC", "--url", url).stdout.strip()
    assert address.startswith(url)
    assert run("result", address, "-o", tmp_path / "so_far.json", "--no-wait").exit_code == 1
    assert "conformers cancelled 0/1 (0%)" in words_of(run("jobs", address, "--cancel"))
    assert run("jobs", "--cancel").exit_code == 2


def test_job_of_backbones_is_submitted_listed_and_fetched(run, tmp_path):
    words = "submit --length 12 --length 20 -n 2 --seed 1 --steps 4 --helix .5 --guidance 2 --format mmcif"
    address = run(*words.split()).stdout.strip()
    fetched = run("result", address, "-o", tmp_path / "out.bcif")
    assert fetched.exit_code == 0, fetched.output
    assert "done: 4 of 4 backbones" in fetched.stderr
    assert [
        len(block["shapespace_backbone"]["id"]) for block in BinaryCIFFile.read(tmp_path / "out.bcif").values()
    ] == [2, 2]
    assert words_of(run("jobs", address)).endswith("12-1 ok 2/2 20-2 ok 2/2")
    assert "backbones done 2/2 (100%) 4/4" in words_of(run("jobs"))
    assert run("result", address, "-o", tmp_path / "out.json").exit_code == 0
    answer = json.loads((tmp_path / "out.json").read_text())
    assert (answer["format"], answer["sampling"]["steps"], answer["seed"]) == ("mmcif", 4, 1)
    assert answer["sampling"]["guidance"] == 2
    for name in ("out.sdf", "out.xyz"):
        with pytest.raises(ModelError, match=r"not for backbones; allowed: \.pdb, \.cif, \.bcif"):
            run("result", address, "-o", tmp_path / name)


def test_structure_is_sent_with_a_job_of_backbones(run, tmp_path, chain_text):
    (tmp_path / "in.pdb").write_text(chain_text)
    words = ("submit", "--structure", tmp_path / "in.pdb", "--chain", "A", "--fixed", "A10-20", "--t", 0.5, "-n", 1)
    address = run(*words).stdout.strip()
    assert run("result", address, "-o", tmp_path / "out.json").exit_code == 0
    answer = json.loads((tmp_path / "out.json").read_text())
    assert (answer["template"]["fixed"], answer["sampling"]["start_time"]) == (11, 0.5)
    (tmp_path / "in.bcif").write_bytes(b"\x80\xff")
    with pytest.raises(ModelError, match="it is not text"):
        run("submit", "--structure", tmp_path / "in.bcif", "--t", 0.5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("submit", "give either molecules or --length"),
        ("submit CC --length 12", "give either molecules or --length"),
        ("submit CC --helix .5", "no meaning for molecules"),
        ("submit --length 12 --rank", "no meaning for backbones"),
        ("submit --length 12 --t .5", "--structure"),
    ],
)
def test_options_that_do_not_fit_are_refused(run, words, told):
    done = run(*words.split())
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.replace("│", " ").split())


def test_interrupt_ends_the_waiting_and_not_the_job(run, tmp_path, monkeypatch):
    address = run("submit", "CC").stdout.strip()

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("app.client.Client.wait", interrupt)
        done = run("result", address, "-o", tmp_path / "out.sdf")
    assert done.exit_code == 130
    assert f"shapespace result {address} -o {tmp_path}/out.sdf" in done.stderr
    assert run("result", address, "-o", tmp_path / "out.sdf").exit_code == 0


def test_refusal_is_one_clear_line(run, tmp_path):
    with pytest.raises(ModelError, match="there is no job 'nothing'"):
        run("jobs", "nothing")
    with pytest.raises(ModelError, match="unknown extension"):
        run("result", "nothing", "-o", tmp_path / "out.doc")
    with pytest.raises(ModelError, match="allowed: http://"):
        run("jobs", "--url", "nonsense")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        run("result", "nothing", "-o", tmp_path / "file" / "out.sdf")


def words_of(done):
    assert done.exit_code == 0, done.output
    return " ".join(done.stdout.replace("─", " ").replace("━", " ").split())
