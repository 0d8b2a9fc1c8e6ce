"""What the server keeps between two questions about strips: read files, and what was searched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from ..cache_core.advisor import Advisor
from ..cache_core.calibration import Calibration
from ..cache_core.host import ModelInfo
from . import library
from .model_file import ModelFile, files_named, model_info_of

MAX_OPEN = 4
"""Calibrations that somebody works with at one time."""
MAX_MODELS = 64
MAX_LOOKS = 4
"""Looks at files of models that wait for their turn; each takes some tenths of a second."""


class PreviewCache:
    """Calibrations that lie open, and what files of models have told; read anew once changed."""

    def __init__(self) -> None:
        self._read = lru_cache(MAX_OPEN)(_read)
        # One at a time: a graph may name many, and somebody may be sampling.
        self._eyes = ThreadPoolExecutor(1, "stepcache-look")
        self._look = lru_cache(MAX_MODELS)(self._looking)
        self._looks: list[Future[ModelInfo | None]] = []

    def advisor(self, name: str) -> Advisor:
        """The advisor by the calibration of that name.

        Raises:
            ConfigError: as of `library.load`.
        """
        path = library.path_of(name)
        state = path.stat()
        return self._read(name, path, state.st_mtime_ns, state.st_size)

    def calibration(self, name: str) -> Calibration:
        """The calibration of that name.

        Raises:
            ConfigError: as of `library.load`.
        """
        return self.advisor(name).selector.calibration

    def model_info(self, loaders: Iterable[Sequence[str]]) -> tuple[ModelInfo | None, bool]:
        """What the files of loaders say about the network that is to be sampled.

        Args:
            loaders: for each that the model may come from, the names of files on it.

        Returns:
            It, or None where one cannot be told or two differ; and whether that may change soon.
        """
        files = [files_named(names) for names in loaders]
        if not files or not all(files):
            return None, False
        try:
            looks = [self._look(file) for each in files for file in each]
        except _Busy:
            return None, True
        if not all(look.done() for look in looks):
            return None, True
        first, *others = [look.result() for look in looks]
        is_one = first is not None and all(o is not None and o.facts == first.facts for o in others)
        return (first if is_one else None), False

    def looks(self) -> list[Future[ModelInfo | None]]:
        """Looks at files of models that are not over."""
        self._looks = [look for look in self._looks if not look.done()]
        return self._looks

    def _looking(self, file: ModelFile) -> Future[ModelInfo | None]:
        if len(self.looks()) >= MAX_LOOKS:
            raise _Busy
        look = self._eyes.submit(model_info_of, file.path)
        self._looks.append(look)
        return look


class _Busy(Exception):
    """Whoever asks again later is served."""


def _read(name: str, *_version: Path | int) -> Advisor:
    return Advisor(library.load(name))
