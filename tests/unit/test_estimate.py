"""What one run tells about the next."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from stepcache.cache_core.estimate import Observation, Shares
from stepcache.cache_core.sites import SiteKind

SELF = (SiteKind.SELF_ATTENTION, None)
CROSS = (SiteKind.CROSS_ATTENTION, None)
GUIDANCE = (SiteKind.GUIDANCE, None)
DEEP = (SiteKind.DEEP_BRANCH, 0)

Steps = Sequence[tuple[Shares, float]]


def observed(steps: Steps, storing: float = 0.0) -> Observation:
    """A run; in steps that reuse nothing so much of the time went into storing."""
    of_step = [(shares, n, 0.0 if shares else storing) for shares, n in steps]
    return Observation.of(of_step, {})


def plan(*shares: Shares) -> list[Shares]:
    return list(shares)


def test_a_plan_of_steps_that_were_seen_costs_what_they_took() -> None:
    run = observed([({}, 4.0), ({DEEP: 1.0}, 1.0), ({DEEP: 1.0}, 1.2), ({}, 4.0)])
    assert run.speedup(plan({}, {DEEP: 1.0})) == pytest.approx(8 / 5.1)
    assert run.speedup(plan({}, {}, {})) == pytest.approx(1.0)


def test_the_first_step_warms_up() -> None:
    run = observed([({}, 100.0), ({DEEP: 1.0}, 1.0), ({}, 4.0)])
    assert run.speedup(plan({}, {DEEP: 1.0})) == pytest.approx(8 / 5)
    alone = observed([({}, 100.0), ({DEEP: 1.0}, 50.0)])
    assert alone.speedup(plan({}, {DEEP: 1.0})) == pytest.approx(200 / 150), "there is no other"


def test_parts_seen_apart_are_put_together() -> None:
    run = observed([({}, 5.0), ({}, 5.0), ({SELF: 1.0}, 3.0), ({CROSS: 1.0}, 4.0)])
    assert run.speedup(plan({}, {SELF: 1.0, CROSS: 1.0})) == pytest.approx(10 / 7)
    assert run.speedup(plan({}, {SELF: 0.5})) == pytest.approx(10 / 9), "half of the layers"


def test_parts_that_were_only_seen_together_are_not_told_apart() -> None:
    run = observed([({}, 5.0), ({}, 5.0), ({SELF: 1.0, CROSS: 1.0}, 2.0)])
    assert run.speedup(plan({}, {SELF: 1.0, CROSS: 1.0})) == pytest.approx(10 / 7)
    assert run.speedup(plan({}, {SELF: 1.0})) is None


def test_a_layer_saves_half_as_much_of_half_a_batch() -> None:
    both = {GUIDANCE: 1.0, SELF: 1.0}
    apart: Steps = [({}, 8.0), ({}, 8.0), ({SELF: 1.0}, 6.0), ({GUIDANCE: 1.0}, 4.0)]
    assert observed(apart).speedup(plan({}, both)) == pytest.approx(16 / 11)
    together: Steps = [({}, 8.0), ({}, 8.0), ({GUIDANCE: 1.0}, 4.0), (both, 3.0)]
    assert observed(together).speedup(plan({}, {SELF: 1.0})) == pytest.approx(16 / 14)


def test_a_step_that_was_seen_takes_what_it_took() -> None:
    both = {GUIDANCE: 1.0, SELF: 1.0}
    steps: Steps = [*[({}, 8.0)] * 4, ({SELF: 1.0}, 6.0), ({GUIDANCE: 1.0}, 4.0), (both, 3.9)]
    assert observed(steps).speedup(plan({}, both)) == pytest.approx(16 / 11.9)


def test_one_slow_full_step_does_not_tell_a_wrong_speed() -> None:
    both = {SELF: 1.0, CROSS: 1.0}
    parts: Steps = [({SELF: 1.0}, 3.0), ({CROSS: 1.0}, 4.0), (both, 2.0)] * 4
    slow = observed([({}, 9.0), ({}, 9.0), *parts])
    assert slow.full_seconds is not None and 5.0 < slow.full_seconds < 7.0
    assert observed([({}, 9.0), ({}, 9.0), ({SELF: 1.0}, 3.0)]).full_seconds == pytest.approx(9.0)
    assert observed([({}, 9.0), *[({}, 6.0)] * 3, *parts]).full_seconds == 6.0


def test_a_step_that_stores_takes_longer_than_a_plain_one() -> None:
    steps: Steps = [*[({}, 5.0)] * 4, ({DEEP: 1.0}, 2.0)]
    assert observed(steps).full_seconds == 5.0
    run = observed(steps, storing=1.0)
    assert run.full_seconds == 4.0
    assert run.speedup(plan({}, {DEEP: 1.0})) == pytest.approx(8 / 7)
    few = observed([({}, 5.0), ({DEEP: 1.0}, 2.0)], storing=1.0)
    assert few.full_seconds == pytest.approx(4.0), "estimated"


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [({DEEP: 1.0}, 1.0)],
        [({}, 4.0), ({(SiteKind.DEEP_BRANCH, 1): 1.0}, 1.0)],
        [({}, 0.0), ({DEEP: 1.0}, 0.0)],
    ],
    ids=["nothing", "no full step", "another branch", "no time"],
)
def test_what_was_not_seen_is_not_told(steps: Steps) -> None:
    assert observed(steps).speedup(plan({}, {DEEP: 1.0})) is None


def test_bytes_are_those_of_the_values_kept() -> None:
    run = Observation.of([({}, 1.0, 0.0)], {SELF: 100.0, CROSS: 8.0})
    assert run.nbytes({SELF: 3}) == 300
    assert run.nbytes({SELF: 3, CROSS: 2}) == 316
    assert run.nbytes({DEEP: 1}) is None
    assert run.nbytes({}) == 0


def test_plain_data() -> None:
    steps = [({}, 2.0, 0.5), ({DEEP: 1.0}, 1.0, 0.0)]
    data = Observation.of(steps, {DEEP: 64.0}, (0, 19)).to_dict()
    assert data == {
        "seen": [
            {"reused": {}, "seconds": 2.0, "steps": 1, "storing": 0.5},
            {"reused": {"deep_branch-0": 1.0}, "seconds": 1.0, "steps": 1, "storing": 0.0},
        ],
        "value_bytes": {"deep_branch-0": 64.0},
        "row_starts": [0, 19],
    }
