"""Lines that say what set-up is doing."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO


class StepLine:
    """One step: a line that is rewritten on a terminal, plain lines elsewhere.

    Args:
        title: what the step does.
        stream: where to write; standard error output by default.
        is_announced: whether the start gets a line of its own where lines cannot be rewritten.
    """

    def __init__(self, title: str, stream: TextIO | None = None, is_announced: bool = True) -> None:
        self._stream = stream or sys.stderr
        self._title = title
        self._since = time.monotonic()
        self._rewrites = self._stream.isatty()
        if is_announced and not self._rewrites:
            self._write(f"- {title} ...\n")

    @property
    def seconds(self) -> float:
        """How long the step has been running."""
        return time.monotonic() - self._since

    def detail(self, text: str) -> None:
        """Show what the step is at; only on a terminal, where the line can be rewritten."""
        if self._rewrites:
            width = shutil.get_terminal_size().columns - 1
            line = f"- {self._title} [{self.seconds:.0f} s] {text}"
            self._write(f"\r{line[:width]:<{width}}")

    def done(self, text: str = "done") -> None:
        """Close the line."""
        if self._rewrites:
            self.detail("")
            self._write("\r")
        self._write(f"- {self._title}: {text} [{self.seconds:.1f} s]\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
