"""What jobs have made: a file for each item, in a folder or behind any URL that fsspec knows."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from app.settings import Settings, SettingsError

_PROBE_BYTES = 2**16


class JobFiles:
    """What was made of each item of each job, and a folder for answers that were made of them.

    Args:
        url: Where it is kept; shared by all servers.
        cache: Folder of this server for answers; they can be made again.

    Raises:
        SettingsError: The URL cannot be used.
    """

    def __init__(self, url: str, cache: Path) -> None:
        try:
            self._fs, self._root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"RESULTS_URL is {url!r}: {error}; name a folder or a URL that fsspec knows") from None
        self._cache = cache

    def probe(self) -> None:
        """Find out whether results can be kept; behind a URL this is not known before it is tried.

        Raises:
            OSError: The folder cannot be made or written, or the disk is full.
        """
        if isinstance(self._fs, LocalFileSystem):
            Path(self._root).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._root) as stream:
                stream.write(bytes(_PROBE_BYTES))

    def write(self, job_id: str, place: int, packed: bytes) -> str:
        """Keep what was made of one item, all or nothing, beside what others may have kept of it.

        Returns:
            Name of the file, for `read`; it counts once it is recorded.

        Raises:
            OSError: It cannot be kept now, for example because the disk is full.
        """
        name = f"{place:05d}-{secrets.token_hex(4)}"
        path = self._path(job_id, name)
        if not isinstance(self._fs, LocalFileSystem):
            self._fs.makedirs(self._fs._parent(path), exist_ok=True)
            self._fs.pipe_file(path, packed)
            return name
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        try:
            with part.open("wb") as stream:
                stream.write(packed)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return name

    def read(self, job_id: str, name: str) -> bytes:
        """What was kept of one item.

        Raises:
            OSError: It cannot be read.
        """
        return bytes(self._fs.cat_file(self._path(job_id, name)))

    def drop(self, job_id: str, name: str) -> None:
        """Delete a file that was not recorded."""
        with suppress(OSError):  # it goes with the job
            self._fs.rm_file(self._path(job_id, name))

    def answers(self, job_id: str) -> Path:
        """Folder of this server for the answers of a job, which is in use from now on."""
        folder = self._cache / job_id
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        return folder

    def remove(self, job_id: str) -> None:
        """Delete all of a job but its answers, which somebody may be taking."""
        with suppress(FileNotFoundError):
            self._fs.rm(f"{self._root}/{job_id}", recursive=True)

    def sweep_answers(self, idle_s: float) -> None:
        """Delete answers that nobody took for so long, also those of jobs that another server removed."""
        if not self._cache.is_dir():
            return
        for folder in self._cache.iterdir():
            if folder.stat().st_mtime < time.time() - idle_s:
                shutil.rmtree(folder, ignore_errors=True)

    def _path(self, job_id: str, name: str) -> str:
        return f"{self._root}/{job_id}/{name}.npz"


def open_files(settings: Settings) -> JobFiles:
    """The files of the settings; by default in the state folder.

    Raises:
        SettingsError: The URL cannot be used, or the folder cannot be written.
    """
    state = settings.state_dir.absolute()
    files = JobFiles(settings.results_url or str(state / "results"), state / "answers")
    try:
        files.probe()
    except OSError as error:
        where = settings.results_url or state / "results"
        raise SettingsError(
            f"results of jobs cannot be kept in {where} ({error.strerror}); name another place in RESULTS_URL"
        ) from None
    return files
