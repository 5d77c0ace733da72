import re

import pytest
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
    assert f"{job_id} done 3/3 (100%) 6/6" in words_of(run("jobs", "--state", "done"))
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
    assert "cancelled 0/1 (0%)" in words_of(run("jobs", address, "--cancel"))
    assert run("jobs", "--cancel").exit_code == 2


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
