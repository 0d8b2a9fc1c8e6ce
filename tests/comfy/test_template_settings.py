"""Nodes as they come act on what people really sample: the settings of the official templates."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import templates
import torch
import toys
from stepcache.cache_core.host import attach, last_report
from stepcache.nodes.smoothcache import SmoothCacheSchedule
from stepcache.nodes.tgate import TGateGate

SETTINGS = templates.settings()
LENGTHS = sorted({setting["end"] - setting["start"] for setting in SETTINGS})
"""Steps that are really run."""


def _shortest(length: int) -> dict[str, Any]:
    """One setting of each length, on a model that both nodes accept where there is one."""
    fitting = [s for s in SETTINGS if s["end"] - s["start"] == length]
    return min(fitting, key=lambda s: (s["toy"] not in ("wan", "sd15", "sdxl"), json.dumps(s)))


SAMPLE = [
    pytest.param(_shortest(length), id=f"{_shortest(length)['toy']}-{length}") for length in LENGTHS
]


def test_they_are_those_of_many_families_and_lengths() -> None:
    assert len(SETTINGS) > 100
    assert len({setting["toy"] for setting in SETTINGS}) > 25
    assert LENGTHS[:3] == [1, 2, 3] and LENGTHS[-1] == 50
    assert all(setting["toy"] in toys.TOYS for setting in SETTINGS)
    # Most are short: a default that is a number of steps would fit few of them.
    assert Counter(s["end"] - s["start"] for s in SETTINGS).most_common(1)[0][1] < len(SETTINGS) / 2


@pytest.mark.parametrize("setting", SAMPLE)
@pytest.mark.parametrize("node", [SmoothCacheSchedule, TGateGate], ids=lambda node: node.__name__)
def test_nodes_as_they_come_act_or_say_why_not(node: Any, setting: dict[str, Any]) -> None:
    what, why = templates.outcome(node, setting)
    length = setting["end"] - setting["start"]
    if what == templates.NOTHING:
        # Two steps: a uniform schedule computes the first one and the last one.
        assert length == 1 or (node is SmoothCacheSchedule and length == 2), why
    assert not why.startswith("stopped")


def test_the_gate_is_told_by_the_report() -> None:
    model = attach(toys.load("wan"), templates.method_of(TGateGate))
    toys.sample(model, "wan", steps=8)
    report = last_report(model)
    assert "gate_step 5" in report.methods[0]
    assert "TGATE Gate: the gate is at step 5 of 8, by gate_share 0.6" in report.notes
    assert report.strip_of("guidance") == "CCCCCRRR"


@pytest.mark.parametrize("node", [SmoothCacheSchedule, TGateGate], ids=lambda node: node.__name__)
def test_a_saved_number_keeps_its_meaning(node: Any) -> None:
    """Graphs saved before there was a 0."""
    if node is SmoothCacheSchedule:
        saved = node.method(schedule="FORA: every 2nd step", steps=6)
    else:
        saved = node.method(
            preset="custom", gate_step=3, warm_up=2, self_interval=5, gated_interval=1,
            after_gate="uncond (as published)",
        )  # fmt: skip
    model = attach(toys.load("wan"), saved)
    picture = toys.sample(model, "wan", steps=6)
    if node is SmoothCacheSchedule:
        follows = attach(toys.load("wan"), templates.method_of(node))
        assert torch.equal(toys.sample(follows, "wan", steps=6), picture)
    else:
        assert last_report(model).strip_of("guidance") == "CCCRRR"
    toys.sample(model, "wan", steps=2)
    assert last_report(model).total_reused == 0
    assert "this run" in last_report(model).idle
