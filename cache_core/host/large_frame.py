"""Room for Python's frames, so that what is called often does not ask for memory every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

SLOTS = 2**14
"""Pointers that one frame takes, 128 KiB. Chunks double until it fits, so about as much is left for
the frames of sampler and network."""


def with_large_frame(
    call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """What `call` returns, with all frames below it in one piece of memory.

    CPython keeps frames in chunks of 16 KiB. Where one ends is a matter of how deep a call is, and
    every wrapper makes it deeper: where it ends just above a function that is called in a loop,
    each of its calls gets a chunk from the system and gives it back. In a server that made runs of
    the small DiT a fifth longer. A frame that does not fit into a chunk gets a larger one.
    """
    return call(*args, **kwargs)


with_large_frame.__code__ = with_large_frame.__code__.replace(co_stacksize=SLOTS)
