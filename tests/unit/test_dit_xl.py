"""SmoothCache's published schedules for DiT-XL: as many steps compute as the authors count.

Their table of operations has the same shares: 336.4 of 365.6 TMACs are 46 of 50 steps.
"""

from __future__ import annotations

import pytest
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.methods.dit_xl import DIT_XL_SCHEDULES, dit_xl
from stepcache.cache_core.methods.presets import FORA_SCHEDULES
from stepcache.cache_core.rules import plans_of
from stepcache.cache_core.sites import SiteKind

DIT_XL = {
    "DiT-XL/2 256: threshold 0.08 (50 steps)": (46, 2, 2),
    "DiT-XL/2 256: threshold 0.18 (50 steps)": (24, 2, 3),
    "DiT-XL/2 256: threshold 0.35 (30 steps)": (16, 2, 2),
    "DiT-XL/2 256: threshold 0.08 (70 steps)": (34, 2, 3),
    "DiT-XL/2 256: Learning-to-Cache (50 steps)": (2136, 56, 1),
    "DiT-XL/2 256: attention alone, threshold 0.15 (50 steps)": (24, 1, 2),
}
"""Steps that compute, in all rows together where rows differ; rows; most reuses in a row."""


def steps_in(label: str) -> int:
    return int(label.rpartition("(")[2].removesuffix(" steps)"))


def test_every_schedule_for_dit_xl_is_counted() -> None:
    assert list(DIT_XL) == list(DIT_XL_SCHEDULES)
    assert not set(DIT_XL) & set(FORA_SCHEDULES)


@pytest.mark.parametrize("label", DIT_XL)
def test_a_schedule_for_dit_xl_computes_the_published_steps(label: str) -> None:
    computed, count, longest = DIT_XL[label]
    rows = DIT_XL_SCHEDULES[label]
    steps = steps_in(label)
    assert len(rows) == count
    assert all(len(row) == steps for _, _, row in rows)
    distinct = {row for _, _, row in rows}
    total = sum(map(sum, distinct)) if len(distinct) == 1 else sum(sum(row) for *_, row in rows)
    assert total == computed
    assert all(row[0] and row[-1] for row in distinct)
    runs = "".join("1" if flag else "0" for row in distinct for flag in row).split("1")
    assert max(map(len, runs)) == longest


def test_learning_to_cache_has_a_row_for_each_layer_of_28_blocks() -> None:
    places = [(k, i) for k, i, _ in DIT_XL_SCHEDULES["DiT-XL/2 256: Learning-to-Cache (50 steps)"]]
    kinds = (SiteKind.SELF_ATTENTION, SiteKind.FEED_FORWARD)
    assert places == [(kind, index) for kind in kinds for index in range(28)]


@pytest.mark.parametrize("label", DIT_XL)
def test_a_schedule_for_dit_xl_requires_its_layers_and_its_steps(label: str) -> None:
    steps = steps_in(label)
    made = dit_xl(label, steps)
    assert f"({label}, computes " in made.describe()
    assert all(rule.is_required and rule.remedy for rule in made.rules())
    assert plans_of(made.rules(), Timeline.even(steps))
    with pytest.raises(ConfigError, match=f"the schedule is for {steps} steps, this run has 20"):
        plans_of(made.rules(), Timeline.even(20))
    message = f"is a schedule of {steps} steps, and steps is 20; expected {steps} here and on"
    with pytest.raises(ConfigError, match=message):
        dit_xl(label, 20)
