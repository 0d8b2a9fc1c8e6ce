"""Strips before a run, and before there is a model."""

from __future__ import annotations

import pytest
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.methods import (
    PAB,
    DeepCache,
    FasterCache,
    SmoothCache,
    StepCache,
    TGate,
)
from stepcache.cache_core.rules import Rule, coverage_of, plans_of
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind
from stepcache.cache_core.strips import planned_sites, shares_of, strips_of

WHOLE = PercentRange(0.0, 1.0)
EVEN = Timeline.even(6)
S, F = SiteKind.SELF_ATTENTION, SiteKind.FEED_FORWARD


def planned_strips(
    rules: tuple[Rule, ...],
    timeline: Timeline,
    layers: dict[SiteKind, int] | None = None,
    has_one_branch: bool = False,
) -> dict[str, str]:
    assigned = planned_sites(rules, layers, has_one_branch)
    return strips_of(shares_of(assigned, plans_of(set(assigned.values()), timeline)))


def test_without_a_model_every_kind_of_the_method_is_shown() -> None:
    strips = planned_strips(PAB(2, 3, 6, WHOLE).rules(), EVEN)
    assert strips["self_attention"] == strips["joint_attention"] == "CRCRCR"
    assert strips["temporal_attention"] == "CRRCRR"
    assert strips["cross_attention"] == "CRRRRR"
    assert list(strips) == sorted(strips, key=[k.value for k in SiteKind].index)


def test_with_a_model_only_what_it_has() -> None:
    strips = planned_strips(PAB(2, 3, 6, WHOLE).rules(), EVEN, {SiteKind.CROSS_ATTENTION: 4})
    assert strips == {"cross_attention": "CRRRRR"}


def test_layers_that_are_left_out_make_a_step_partly_reused() -> None:
    row = (True, False, True, False, True, True)
    rows = ((S, 0, row), (S, 1, (True,) * 6))
    rules = SmoothCache(rows).rules()
    strips = planned_strips(rules, EVEN)
    assert strips == {"self_attention": "CPCPCC", "joint_attention": "CPCPCC"}
    sites = planned_sites(rules, {S: 4})
    assert shares_of(sites, plans_of(rules, EVEN)) == {(S, None): [0, 0.5, 0, 0.5, 0, 0]}, (
        "one of the two computes"
    )
    assert coverage_of(sites, {S.value: 4}) == {(S, None): 0.5}, "two of four layers have a row"


def test_a_deep_branch_is_one_of_many() -> None:
    for layers in (None, {SiteKind.DEEP_BRANCH: 12}):
        assert planned_strips(DeepCache(3, 2).rules(), EVEN, layers) == {"deep_branch": "CRRCRR"}


def test_where_one_branch_runs_guidance_is_not_shown() -> None:
    rules = FasterCache(2, 1, 1, attention_window=WHOLE, guidance_window=WHOLE).rules()
    assert "guidance" in planned_strips(rules, EVEN)
    assert "guidance" not in planned_strips(rules, EVEN, has_one_branch=True)


def test_layers_wait_for_the_second_branch_as_in_a_run() -> None:
    alone = planned_strips(TGate(3, 0, 1, 1).rules(), EVEN)
    assert alone["guidance"] == "CCCRRR"
    assert alone["cross_attention"] == "CCCRRR"


def test_a_schedule_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="the schedule is for 2 steps, this run has 6"):
        method = SmoothCache(((F, None, (True, False)),)).fitted(EVEN)
        planned_strips(method.rules(), EVEN)


@pytest.mark.parametrize("layers", [None, {}, {S: 4}])
def test_every_model_is_evaluated(layers: dict[SiteKind, int] | None) -> None:
    strips = planned_strips(StepCache(2.0).rules(), EVEN, layers)
    assert list(strips) == ["evaluation"]
    assert strips["evaluation"].count("C") == 3


def test_layers_are_not_asked_where_their_evaluation_is_reused() -> None:
    rules = (*StepCache(2.0).rules(), *PAB(2, 1, 1, WHOLE).rules())
    strips = planned_strips(rules, EVEN, {S: 4})
    skipped = [letter == "R" for letter in strips["evaluation"]]
    assert any(skipped)
    assert [letter == "." for letter in strips[S.value]] == skipped
    assert "R" in strips[S.value]
