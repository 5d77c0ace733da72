from app.client import JobStatus
from app.client.progress import bar


def status(state, done, position=None):
    return JobStatus("id", "conformers", state, 2, done // 2, 4, done, done, position, None, {})


def test_bar_is_on_standard_error_and_goes_away(capsys):
    with bar(True) as tell:
        tell(status("queued", 0, 3))
        tell(status("running", 2))
    captured = capsys.readouterr()
    assert captured.out == ""


def test_bar_that_is_not_wanted_is_not_there():
    with bar(False) as tell:
        assert tell is None
    with bar(print) as tell:
        assert tell is print
