"""What the server keeps between two questions about strips: read files, and what was searched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from pathlib import Path

from ..cache_core.advisor import Advisor
from ..cache_core.patching import Anatomy
from . import library
from .model_file import ModelFile, anatomy_of, files_named

MOST_OPEN = 4
"""Calibrations that somebody works with at one time."""
MOST_MODELS = 64
PATIENCE = 0.3
"""Seconds that a strip waits for a look at a model. Most take less, the first of a server more."""


class Desk:
    """Calibrations that lie open, and what files of models have told; read anew once changed."""

    def __init__(self) -> None:
        self._read = lru_cache(MOST_OPEN)(_read)
        # One at a time: a graph may name many, and somebody may be sampling.
        self._eyes = ThreadPoolExecutor(1, "stepcache-look")
        self._look = lru_cache(MOST_MODELS)(self._looking)

    def advisor(self, name: str) -> Advisor:
        """The advisor by the calibration of that name.

        Raises:
            ConfigError: as of `library.load`.
        """
        path = library.path_of(name)
        state = path.stat()
        return self._read(name, path, state.st_mtime_ns, state.st_size)

    def anatomy(self, loaders: Iterable[Sequence[str]]) -> tuple[Anatomy | None, bool]:
        """What the files of loaders say about the network that is to be sampled.

        Args:
            loaders: for each that the model may come from, the names of files on it.

        Returns:
            It, or None where one cannot be told or two differ; and whether that may change soon.
        """
        files = [files_named(names) for names in loaders]
        if not files or not all(files):
            return None, False
        looks = [self._look(file) for each in files for file in each]
        if wait(looks, PATIENCE).not_done:
            return None, True
        first, *others = [look.result() for look in looks]
        is_one = first is not None and all(o is not None and o.facts == first.facts for o in others)
        return (first if is_one else None), False

    def _looking(self, file: ModelFile) -> Future[Anatomy | None]:
        return self._eyes.submit(anatomy_of, file.path)


def _read(name: str, *_version: Path | int) -> Advisor:
    return Advisor(library.load(name))
