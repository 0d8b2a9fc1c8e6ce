"""Frames of a run have room: no call in it asks the system for memory because of its depth."""

from __future__ import annotations

import pytest
from stepcache.cache_core.host.large_frame import with_large_frame

resource = pytest.importorskip("resource")

DEPTHS = range(0, 400)
"""Frames of more than one chunk of 16 KiB."""

CALLS = 200

OURS = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
"""Whose pages are counted: not those of other threads, where the system tells them apart."""


def test_no_depth_is_a_bad_one() -> None:
    plain = max(map(_faults, DEPTHS))
    if plain < CALLS:
        pytest.skip("this Python does not take memory for a frame and give it back")
    assert max(with_large_frame(_faults, (depth,), {}) for depth in DEPTHS) < CALLS / 2


def test_it_hands_on_what_it_is_given() -> None:
    assert with_large_frame(dict, ({"a": 1},), {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ZeroDivisionError):
        with_large_frame(divmod, (1, 0), {})


def _faults(depth: int) -> int:
    """Pages that the system handed out for calls in a loop, so many frames further down.

    Where the depth is a bad one, a page for every call.
    """
    if depth:
        return _faults(depth - 1)
    before = resource.getrusage(OURS).ru_minflt
    for _ in range(CALLS):
        _called()
    return resource.getrusage(OURS).ru_minflt - before


def _called() -> None:
    """Takes a frame of 1 KiB, as larger functions do."""


_called.__code__ = _called.__code__.replace(co_stacksize=128)
