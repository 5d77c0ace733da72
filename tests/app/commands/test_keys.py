import pytest
from typer.testing import CliRunner

from app.access.keys import is_secret, split_token
from app.access.store import KeyStore
from app.cli import cli, main
from app.database.database import open_database
from app.settings import Settings


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(cli, ["keys", *words], catch_exceptions=True)


@pytest.fixture
def kept():
    """The keys where the command puts them."""

    def read():
        database = open_database(Settings())
        try:
            return KeyStore(database).all()
        finally:
            database.close()

    return read


def test_key_is_made_listed_and_revoked(run, kept):
    made = run("create", "alice", "--expires", "90d", "--conformers-per-hour", "500")
    assert made.exit_code == 0
    (key,) = kept()
    name, secret = split_token(made.stdout.strip())
    assert name == key.id
    assert is_secret(secret, key.digest)
    assert (key.expires - key.created).days in (89, 90)
    assert key.conformers_per_hour == 500
    assert secret not in made.stderr

    listed = run("list").stdout
    assert all(word in listed for word in (key.id, "alice", "sample", "active", "500", "default"))
    assert secret not in listed

    assert run("revoke", key.id).exit_code == 0
    assert "revoked" in run("list").stdout


def test_key_that_leaked_can_be_revoked_by_itself(run, kept):
    token = run("create", "alice").stdout.strip()
    done = run("revoke", token)
    assert done.exit_code == 0
    assert token not in done.stdout + done.stderr
    assert kept()[0].revoked is not None


def test_list_without_keys_says_how_to_make_one(run):
    done = run("list")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "shapespace keys create" in done.stderr


@pytest.mark.parametrize(
    "words", [(), ("create",), ("list",), ("revoke",)], ids=lambda words: " ".join(words) or "keys"
)
def test_help_shows_an_example(run, words):
    done = run(*words, "--help")
    assert done.exit_code == 0
    assert "Example: shapespace keys" in done.stdout


def test_scopes_are_kept(run, kept):
    assert run("create", "scraper", "--scope", "admin").exit_code == 0
    assert run("create", "both", "--scope", "admin", "--scope", "sample").exit_code == 0
    assert [key.scopes for key in kept()] == [{"admin"}, {"admin", "sample"}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "alice", "--scope", "root"), "sample, admin"),
        (("create", "alice", "--expires", "soon"), "90d"),
        (("create", "alice", "--expires", "0d"), "90d"),
        (("create", "a\nb"), "printable"),
        (("create", ""), "printable"),
    ],
)
def test_key_that_makes_no_sense_is_not_made(run, kept, words, said):
    done = run(*words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert run("list").exit_code == 0
    assert kept() == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SHAPESPACE_STATE_DIR": "/proc/nowhere"}, "STATE_DIR is '/proc/nowhere', which cannot be made"),
        ({"SHAPESPACE_DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/x"}, "the database cannot be used now"),
    ],
    ids=["folder", "database"],
)
def test_database_that_is_not_there_is_one_clear_line(monkeypatch, capsys, environment, said):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["shapespace", "keys", "list"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    words = capsys.readouterr().err
    assert words.startswith(f"error: {said}")
    assert "hunter2" not in words and "Traceback" not in words


def test_unknown_key_cannot_be_revoked(run):
    done = run("revoke", "0123456789ab")
    assert done.exit_code != 0
    assert "no key '0123456789ab'" in str(done.exception)
