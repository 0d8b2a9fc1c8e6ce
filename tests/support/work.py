"""Work that is counted, where a clock would tell how busy the machine is."""

from __future__ import annotations

import math
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Calls:
    """Counts calls of functions, in Python and in C, while they are counted in this thread."""

    def __init__(self) -> None:
        self.count = 0

    def _hear(self, _frame: FrameType, event: str, _function: Any) -> None:
        self.count += event in ("call", "c_call")

    @contextmanager
    def counted(self) -> Iterator[Calls]:
        before = sys.getprofile()
        sys.setprofile(self._hear)
        try:
            yield self
        finally:
            sys.setprofile(before)


class Work:
    """Counts lines of Python that this thread runs, and the memory that is asked for meanwhile.

    Args:
        most_lines: an error ends what runs more of them, so that nothing hangs.
    """

    def __init__(self, most_lines: float = math.inf) -> None:
        self._most_lines = most_lines
        self.lines = 0
        self.nbytes = 0

    def _trace(self, _frame: FrameType, event: str, _given: Any) -> Any:
        self.lines += event == "line"
        if self.lines > self._most_lines:
            raise AssertionError(f"more than {self._most_lines:.0f} lines of Python")
        return self._trace

    @contextmanager
    def counted(self) -> Iterator[Work]:
        before = sys.gettrace()
        tracemalloc.start()
        sys.settrace(self._trace)
        try:
            yield self
        finally:
            sys.settrace(before)
            self.nbytes = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """The paths of all files that are opened meanwhile, however it is done."""
    paths: list[str] = []
    is_listening = True

    def hear(event: str, given: tuple[Any, ...]) -> None:
        if is_listening and event == "open":
            paths.append(str(given[0]))

    sys.addaudithook(hear)  # Which cannot be taken off again.
    try:
        yield paths
    finally:
        is_listening = False
