"""The table of errors: its shape, changes over any distance, and two tables as one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from stepcache.cache_core.calibration import ErrorTable, Lags, Place
from stepcache.cache_core.calibration.table import merge
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.sites import SiteKind

SELF = Place(SiteKind.SELF_ATTENTION)
FEED_FORWARD = Place(SiteKind.FEED_FORWARD)

Sigmas = tuple[float, ...]


@pytest.mark.parametrize(
    ("sigmas", "lookahead", "rows", "message"),
    [
        ((1.0, 0.0), 1, ((),), "a calibration of 1 steps has nothing to compare; expected 2"),
        ((1.0, 0.5, 0.0), 0, (), "lookahead is 0; expected 1 or more steps"),
        (
            (1.0, 0.5, 0.0), 1, ((0.1, 0.2),),
            "the errors of self_attention have [2] entries; expected [1] for 2 steps",
        ),
        (
            (3.0, 2.0, 1.0, 0.0), 2, ((0.1, 0.2),),
            "the errors of self_attention have [2] entries; expected [2, 1] for 3 steps",
        ),
        (
            (3.0, 2.0, 1.0, 0.0), 4, ((0.1, 0.2), (0.1,), (), (0.1,)),
            "have [2, 1, 0, 1] entries; expected [2, 1, 0, 0] for 3 steps",
        ),
    ],
)  # fmt: skip
def test_tables_of_another_shape_are_refused(
    sigmas: Sigmas, lookahead: int, rows: Lags, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        ErrorTable(sigmas, lookahead, {SELF: rows})
    assert message in str(caught.value)


def test_a_table_has_one_step_less_than_noise_levels() -> None:
    assert ErrorTable((3.0, 2.0, 1.0, 0.0), 4, {SELF: ((0.1, 0.2), (0.3,), (), ())}).steps == 3


# Changes.

SMALL = ErrorTable(
    (6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0), 2,
    {SELF: ((0.01, 0.02, 0.04, 0.08, 0.16), (0.025, 0.05, 0.1, 0.2))},
)  # fmt: skip


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (2, 2, 0.0),
        (2, 3, 0.04),
        (1, 3, 0.05),
        (0, 3, 0.025 + 0.04),
        (0, 5, 0.025 + 0.1 + 0.16),
        (1, 5, 0.05 + 0.2),
    ],
)
def test_a_change_beyond_the_lookahead_is_the_sum_of_shorter_ones(
    source: int, target: int, expected: float
) -> None:
    assert SMALL.change(SELF, source, target) == pytest.approx(expected, rel=1e-12)


def test_a_lookahead_beyond_the_run_needs_no_sums() -> None:
    table = ErrorTable((3.0, 2.0, 1.0, 0.0), 5, {SELF: ((0.1, 0.2), (0.25,), (), (), ())})
    assert table.change(SELF, 0, 2) == 0.25


# Two tables as one.

ONE = ErrorTable((3.0, 2.0, 1.0, 0.0), 2, {SELF: ((0.1, 0.2), (0.4,))})
OTHER = replace(ONE, rows={SELF: ((0.5, 0.6), (0.8,))})


def test_tables_are_merged_by_their_samples() -> None:
    merged = merge(ONE, 6, OTHER, 2)
    assert (merged.sigmas, merged.lookahead) == (ONE.sigmas, 2)
    assert merged.rows[SELF][0] == pytest.approx((0.2, 0.3))
    assert merged.rows[SELF][1] == pytest.approx((0.5,))


@pytest.mark.parametrize(
    "other",
    [
        ErrorTable(ONE.sigmas, 1, {SELF: ((0.1, 0.2),)}),
        replace(ONE, sigmas=(3.0, 2.0, 0.5, 0.0)),
        ErrorTable((3.0, 2.0, 0.0), 2, {SELF: ((0.1,), ())}),
        replace(ONE, rows={**ONE.rows, FEED_FORWARD: ONE.rows[SELF]}),
        replace(ONE, rows={FEED_FORWARD: ONE.rows[SELF]}),
    ],
    ids=["lookahead", "noise", "steps", "more layers", "other layers"],
)
def test_tables_of_different_runs_are_not_merged(other: ErrorTable) -> None:
    with pytest.raises(ConfigError, match="measured different steps or layers"):
        merge(ONE, 1, other, 1)
