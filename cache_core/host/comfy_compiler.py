"""ComfyUI's own compiler, off for runs in which tensors outlive a call of the network.

From 0.34 on it records what a call of some models allocates, and expects that the next one asks for
the same and that nothing is kept (`comfy/model_prefetch.py`, `malloc_graph_enabled`); packs that
kept something are reported to have ended the process. The host reads its option at every call.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from comfy.cli_args import args

OPTION = "disable_comfy_compiler"

OFF = (
    "ComfyUI's own compiler was off for this run, because it expects that nothing outlives a call "
    "of the model"
)


class ComfyCompiler:
    """The option of a process, put back when the last run that needs it off is over.

    Args:
        options: the host's command line.
    """

    def __init__(self, options: Any) -> None:
        self._options = options
        self._lock = Lock()
        self._runs = 0
        self._is_on = False

    @contextmanager
    def off(self, note: Callable[[str], object]) -> Generator[None]:
        """Keep it off for the length of a block; blocks may overlap.

        Args:
            note: told of it, where it is on otherwise; never in a host that has none.
        """
        with self._lock:
            if not self._runs:
                self._is_on = not getattr(self._options, OPTION, True)
            self._runs += 1
            if self._is_on:
                setattr(self._options, OPTION, True)
        try:
            if self._is_on:
                note(OFF)
            yield
        finally:
            with self._lock:
                self._runs -= 1
                if self._is_on and not self._runs:
                    setattr(self._options, OPTION, False)


COMFY_COMPILER = ComfyCompiler(args)
"""Of this process."""
