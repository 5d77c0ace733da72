"""What jobs have made: a file for each molecule, in a folder or behind any URL that fsspec knows."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from app.settings import Settings, SettingsError
from models.export.packed import from_packed, to_packed
from models.structure import Ensemble


class JobFiles:
    """Ensembles of each molecule of each job, and a folder for answers that were made of them.

    Args:
        url: Where ensembles are kept; shared by all servers.
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

    def write(self, job_id: str, place: int, ensembles: Sequence[Ensemble]) -> None:
        """Keep the ensembles of one molecule, all or nothing.

        Raises:
            OSError: They cannot be kept now, for example because the disk is full.
        """
        path, packed = self._path(job_id, place), to_packed(ensembles)
        if not isinstance(self._fs, LocalFileSystem):
            self._fs.makedirs(self._fs._parent(path), exist_ok=True)
            self._fs.pipe_file(path, packed)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
        try:
            with part.open("wb") as stream:
                stream.write(packed)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def read(self, job_id: str, place: int) -> list[Ensemble]:
        """The ensembles of one molecule, one for each stereoisomer.

        Raises:
            OSError: They cannot be read.
        """
        return from_packed(self._fs.cat_file(self._path(job_id, place)))

    def answers(self, job_id: str) -> Path:
        """Folder of this server for the answers of a job."""
        folder = self._cache / job_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def remove(self, job_id: str) -> None:
        """Delete all of a job."""
        with suppress(FileNotFoundError):
            self._fs.rm(f"{self._root}/{job_id}", recursive=True)
        shutil.rmtree(self._cache / job_id, ignore_errors=True)

    def sweep_answers(self, retention_s: float) -> None:
        """Delete answers that were made longer ago than this, also those of jobs that another server removed."""
        if not self._cache.is_dir():
            return
        for folder in self._cache.iterdir():
            if folder.stat().st_mtime < time.time() - retention_s:
                shutil.rmtree(folder, ignore_errors=True)

    def _path(self, job_id: str, place: int) -> str:
        return f"{self._root}/{job_id}/{place:05d}.npz"


def open_files(settings: Settings) -> JobFiles:
    """The files of the settings; by default in the state folder.

    Raises:
        SettingsError: The URL cannot be used.
    """
    state = settings.state_dir.absolute()
    return JobFiles(settings.results_url or str(state / "results"), state / "answers")
