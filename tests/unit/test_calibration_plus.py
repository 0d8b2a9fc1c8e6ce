"""Two calibrations as one, and what keeps them from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from calibration_files import DEEP, FEED_FORWARD, SELF, made, noise
from stepcache.cache_core.calibration import Calibration, Place
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.sites import SiteKind

ONE = made()


def test_calibrations_add_up_by_their_samples() -> None:
    doubled = {
        place: tuple(tuple(2 * error for error in row) for row in lags)
        for place, lags in ONE.table.rows.items()
    }
    one = replace(ONE, samples=2, schedule=((SELF, None, (True,) * 6),))
    other = replace(
        one,
        table=replace(ONE.table, rows=doubled),
        samples=6,
        runs=3,
        influence={"layers": 0.8, "new": 0.1},
    )
    assert one.differences(other) == ()
    found = one.plus(other)
    assert (found.samples, found.runs) == (8, 4)
    assert found.schedule == (), "the schedule of one of them is not that of both"
    for place, lags in ONE.table.rows.items():
        expected = [1.75 * error for error in lags[0]]
        assert found.table.rows[place][0] == pytest.approx(expected)
    assert found.influence == {
        **ONE.influence,
        "layers": pytest.approx((2 * 0.5 + 6 * 0.8) / 8),
        "new": 0.1,
    }


DIFFERENT: dict[str, Calibration] = {
    "model": replace(ONE, model=replace(ONE.model, fingerprint="4567")),
    "sampler": replace(ONE, run=replace(ONE.run, sampler="heun")),
    "cfg": replace(ONE, run=replace(ONE.run, cfg=1.0)),
    "latent size": replace(ONE, run=replace(ONE.run, latent=(4, 8, 16))),
    "average": replace(ONE, average="as the reference"),
    "noise schedule": replace(
        ONE, table=replace(ONE.table, sigmas=(*(s**2 for s in ONE.table.sigmas),))
    ),
    "layers": replace(
        ONE,
        table=replace(ONE.table, rows={Place(SELF): ONE.table.rows[Place(SELF)]}),
    ),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_calibrations_that_differ_are_not_added(what: str) -> None:
    assert ONE.differences(DIFFERENT[what]) == (what,)
    assert DIFFERENT[what].differences(ONE) == (what,)
    with pytest.raises(ConfigError, match=f"the two calibrations differ in {what}"):
        ONE.plus(DIFFERENT[what])


def test_a_difference_in_noise_is_said_even_where_nothing_was_measured() -> None:
    higher = replace(ONE, table=replace(ONE.table, sigmas=(99.0, *ONE.table.sigmas[1:])))
    assert ONE.differences(higher) == ("noise schedule",)


def test_every_difference_is_named() -> None:
    other = made(steps=8, lookahead=2)
    assert ONE.differences(other) == ("steps", "lookahead")


def test_the_kinds_of_a_calibration_are_in_their_usual_order() -> None:
    assert ONE.kinds == (SELF, FEED_FORWARD, DEEP)
    assert ONE.lacks(SiteKind.GUIDANCE) and not ONE.lacks(SELF)


def test_changes_of_noise_add_up_by_samples_and_one_of_two_is_enough() -> None:
    one = replace(ONE, samples=2, noise=noise(size=0.1))
    other = replace(ONE, samples=6, noise=noise(size=0.5))
    both = one.plus(other).noise
    assert both is not None and both.matrix == pytest.approx(4 * noise(size=0.1).matrix)
    for lacking in (one.plus(ONE), ONE.plus(one)):
        assert lacking.noise == one.noise
    assert ONE.plus(ONE).noise is None
