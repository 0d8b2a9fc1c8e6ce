"""What nobody foresaw in a row of blocks: its sum was given already, or it was not."""

from __future__ import annotations

from typing import Any

import cases
import pytest
import toys
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.guard import TOLD
from stepcache.cache_core.methods import PAB
from stepcache.cache_core.streams import StreamCounter


def test_a_block_whose_row_was_given_is_refused_not_added_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sized, state = StreamCounter.sized, {"asked": 0, "fails at": 0}

    def failing(*args: Any, **kwargs: Any) -> Any:
        state["asked"] += 1
        if state["asked"] == state["fails at"]:
            raise ValueError("nobody foresaw it")
        return sized(*args, **kwargs)

    monkeypatch.setattr(StreamCounter, "sized", failing)
    model = attach(toys.load("wan"), PAB(block=2, window=cases.WHOLE_RUN))
    toys.sample(model, "wan", steps=6)
    refused, calls = 0, state["asked"]
    for call in range(1, calls + 1):
        state.update({"asked": 0, "fails at": call})
        try:
            toys.sample(model, "wan", steps=6)
        except StepCacheError as error:
            assert "cannot stand in" in str(error)
            refused += 1
        else:
            assert any(TOLD in note for note in last_report(model).notes)
    assert 0 < refused < calls
