"""What the server keeps between two questions about strips: read files, and what was searched."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ..cache_core.advisor import Advisor
from . import library

MOST_OPEN = 4
"""Calibrations that somebody works with at one time."""


class Desk:
    """Calibrations that lie open. A file that has changed is read anew."""

    def __init__(self) -> None:
        self._read = lru_cache(MOST_OPEN)(_read)

    def advisor(self, name: str) -> Advisor:
        """The advisor by the calibration of that name.

        Raises:
            ConfigError: as of `library.load`.
        """
        path = library.path_of(name)
        state = path.stat()
        return self._read(name, path, state.st_mtime_ns, state.st_size)


def _read(name: str, *_version: Path | int) -> Advisor:
    return Advisor(library.load(name))
