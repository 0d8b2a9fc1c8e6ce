"""Rows: which blocks may keep what they add as one sum, and how many values that makes."""

from __future__ import annotations

import pytest
from stepcache.cache_core.approximators import Approximator, BranchMean, Hold
from stepcache.cache_core.block_rows import block_rows_of, starts_of, values_of
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.rules import Rule, assign, plans_of
from stepcache.cache_core.schedules import Interval, Mask, Schedule
from stepcache.cache_core.sites import Site, SiteKind, SiteSelector

BLOCK, SELF = (SiteKind.BLOCK, None), (SiteKind.SELF_ATTENTION, None)
LINE = Timeline.even(4)
HOLD, EVERY_SECOND = Hold(), Interval(2)


def blocks(*paths: str) -> list[Site]:
    return [Site(SiteKind.BLOCK, index, path) for index, path in enumerate(paths)]


FLUX = blocks(*(f"double_blocks.{i}" for i in range(2)), *(f"single_blocks.{i}" for i in range(3)))


def rule(schedule: Schedule = EVERY_SECOND, *indices: int, what: Approximator = HOLD) -> Rule:
    where = SiteSelector(SiteKind.BLOCK, frozenset(indices) if indices else None)
    return Rule(where, schedule, what, "a node")


def rows(sites: list[Site], *rules: Rule) -> list[list[int]]:
    assigned = assign(rules, sites)
    found = block_rows_of(assigned, plans_of(rules, LINE), starts_of(sites))
    return [[site.index for site in row] for row in found]


@pytest.mark.parametrize(
    ("paths", "starts"),
    [
        (["blocks.0", "blocks.1", "blocks.2"], {0}),
        (["double_blocks.0", "double_blocks.1", "single_blocks.0", "single_blocks.1"], {0, 2}),
        (["blocks.block0", "blocks.block1"], {0}),
        (["input_blocks.1.1.transformer_blocks.0", "middle_block.1.transformer_blocks.0"], {0, 1}),
        (["blocks.1", "blocks.2", "blocks.9", "blocks.10"], {0, 2}),
        (["first", "second"], {0, 1}),
        ([], set()),
    ],
)  # fmt: skip
def test_a_list_of_the_network_is_one_row(paths: list[str], starts: set[int]) -> None:
    assert starts_of(blocks(*paths)) == starts
    assert starts_of([*blocks(*paths), Site(SiteKind.SELF_ATTENTION, 9, "blocks.3.attn")]) == starts


def test_blocks_that_reuse_in_the_same_steps_are_one_row_whoever_says_so() -> None:
    assert rows(FLUX, rule()) == [[0, 1], [2, 3, 4]]
    every = [rule(Mask((True, False, True, False)), index) for index in range(5)]
    assert rows(FLUX, *every) == [[0, 1], [2, 3, 4]]


def test_blocks_with_plans_of_their_own_stand_alone() -> None:
    one, other = Mask((True, False, True, False)), Mask((True, True, False, True))
    alternating = [rule((one, other)[index % 2], index) for index in range(5)]
    assert rows(FLUX, *alternating) == [[0], [1], [2], [3], [4]]
    assert rows(FLUX, rule(one, 0, 1, 2), rule(other, 3, 4)) == [[0, 1], [2], [3, 4]]
    assert rows(FLUX, rule(one, 0, 2, 4)) == [[0], [2], [4]]


def test_what_does_not_answer_as_it_was_stored_is_no_sum() -> None:
    assert rows(FLUX[:2], rule(what=BranchMean(2))) == [[0], [1]]


def test_a_row_is_one_value_and_other_sites_are_one_each() -> None:
    attention = Rule(SiteSelector(SiteKind.SELF_ATTENTION), Interval(2), Hold(), "another")
    layers = [Site(SiteKind.SELF_ATTENTION, i, f"other.{i}") for i in range(3)]
    rules = [rule(), attention]
    assigned, plans = assign(rules, [*FLUX, *layers]), plans_of(rules, LINE)
    assert values_of(assigned, plans, starts_of(FLUX)) == {BLOCK: 2, SELF: 3}
    assert values_of(assigned, plans, ()) == {BLOCK: 1, SELF: 3}, "lists are not known"
    never = [rule(Interval(1))]
    assert values_of(assign(never, FLUX), plans_of(never, LINE), starts_of(FLUX)) == {}
    alone = [rule(Mask((True, index % 2 == 0, False, True)), index) for index in range(5)]
    assert values_of(assign(alone, FLUX), plans_of(alone, LINE), (0, 2)) == {BLOCK: 5}
