"""What is compared from step to step: numbers worked out by hand, and what the authors measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recorded import (
    BOTH_STREAMS,
    FROZEN,
    KINDS,
    OUTPUTS,
    SELF,
    STEPS,
    fed,
    lags,
    near,
    recorded,
    site_of,
)
from session_bench import COND, NEXT_SITE, SITE
from stepcache.cache_core.calibration import Place, scan
from stepcache.cache_core.calibration.recorder import ELEMENTS, Recorder
from stepcache.cache_core.sites import Site, SiteKind

# By hand: two latents of very different size.

TWO_LATENTS = [
    torch.tensor([[1.0, -1.0], [100.0, 100.0]]),
    torch.tensor([[2.0, -2.0], [110.0, 90.0]]),
    torch.tensor([[4.0, -4.0], [100.0, 100.0]]),
]


def test_every_latent_counts_alike() -> None:
    """Changes 2, 20 of 4, 200; then 4, 20 of 8, 200; over two steps 6, 0 of 8, 200."""
    assert lags(fed(TWO_LATENTS)) == near([(0.5 + 0.1) / 2, (0.5 + 0.1) / 2], [(0.75 + 0) / 2])


def test_or_by_its_size_as_the_reference_does() -> None:
    found = lags(fed(TWO_LATENTS, "as the reference"))
    assert found == near([22 / 204, 24 / 208], [6 / 208])


def test_a_kind_is_the_mean_of_its_layers() -> None:
    recorder = Recorder(2, 1)
    for step, (one, other) in enumerate(((1.0, 1.0), (2.0, 4.0))):
        recorder.observe(SITE, [COND], torch.full((1, 3), one), step)
        recorder.observe(NEXT_SITE, [COND], torch.full((1, 5), other), step)
    assert lags(recorder) == near([(0.5 + 0.75) / 2])
    assert lags(recorder, Place(SELF, 0)) == near([0.5])
    assert lags(recorder, Place(SELF, 1)) == near([0.75])
    assert set(recorder.rows(with_layers=False)) == {Place(SELF)}


def test_deep_branches_are_told_apart_and_have_no_mean() -> None:
    recorder = Recorder(2, 1)
    for step in range(2):
        for index in (0, 3):
            value = torch.full((1, 4), 1.0 + index * step)
            recorder.observe(Site(SiteKind.DEEP_BRANCH, index), [COND], value, step)
    rows = recorder.rows(with_layers=False)
    assert rows[Place(SiteKind.DEEP_BRANCH, 3)] == ((0.75,),)
    assert set(rows) == {Place(SiteKind.DEEP_BRANCH, index) for index in (0, 3)}


def test_branches_are_told_apart() -> None:
    recorder = Recorder(2, 1)
    for step, (uncond, cond) in enumerate(((1.0, 1.0), (2.0, 5.0))):
        value = torch.tensor([[uncond], [cond]])
        recorder.observe(SITE, BOTH_STREAMS, value, step)
    assert lags(recorder, Place(SELF, None, "uncond")) == near([0.5])
    assert lags(recorder, Place(SELF, None, "cond")) == near([0.8])
    assert lags(recorder) == near([0.65])


# What the authors' calibrator measured.


@pytest.mark.parametrize("path", OUTPUTS)
def test_layers_change_as_the_authors_calibrator_measured(path: str) -> None:
    site, expected = site_of(path), FROZEN["errors_of_layers"][path]
    found = lags(recorded("as the reference"), Place(site.kind, site.index))
    # Both sum 1024 numbers in float32, in another order.
    assert found == [pytest.approx(row, rel=1e-5) for row in expected]


@pytest.mark.parametrize("component", KINDS)
def test_kinds_change_as_the_authors_calibrator_measured(component: str) -> None:
    found = lags(recorded("as the reference"), Place(KINDS[component]))
    assert found == [pytest.approx(row, rel=1e-5) for row in FROZEN["errors"][component]]
    per_sample = np.concatenate(lags(recorded("per sample"), Place(KINDS[component])))
    assert abs(per_sample / np.concatenate(found) - 1).max() > 1e-3, "the average must matter"


def test_and_every_schedule_is_that_of_the_authors() -> None:
    rows = recorded("as the reference").rows(with_layers=False)
    for setting, expected in FROZEN["schedules"].items():
        alpha, lookahead = setting.split()
        for component, kind in KINDS.items():
            found = scan(rows[Place(kind)], STEPS, float(alpha), int(lookahead))
            strip = "".join("1" if flag else "0" for flag in found)
            assert strip == expected[component], (setting, component)


# Thinned out.


def test_a_quarter_of_the_numbers_tells_nearly_the_same() -> None:
    """Of 64 numbers in each of 4 rows and 3 layers the mean of |x| is known to 0.75 / √768 = 3 %;
    what changes is nearly proportional, so that most of that cancels."""
    whole = recorded("per sample").rows(with_layers=False)
    thinned = recorded("per sample", elements=64).rows(with_layers=False)
    for kind in KINDS.values():
        one, other = (np.concatenate(rows[Place(kind)]) for rows in (thinned, whole))
        assert abs(one / other - 1).max() < 0.1
        assert abs(one / other - 1).max() > 1e-4, "something must have been left out"


@pytest.mark.parametrize("times", [1.5, 4, 8, 10, 28, 100])
@pytest.mark.parametrize("part", range(4))
def test_a_change_is_seen_wherever_it_is(times: float, part: int) -> None:
    """A quarter of a picture changes and nothing else does."""
    size = int(times * ELEMENTS)
    before = torch.ones(1, size)
    after = before.clone()
    after[:, part * size // 4 : (part + 1) * size // 4] = 2.0
    assert lags(fed([before, after], lookahead=1)) == [[pytest.approx(1 / 5, rel=0.02)]]


def test_no_more_is_kept_than_asked_for() -> None:
    depth, rows = 3, 2
    recorder = fed([torch.ones(rows, 3, 1000)] * 9, lookahead=depth, elements=100)
    kept = recorder.peak_nbytes / 4 / (depth + 1) / rows  # those before, and the current one
    assert 50 < kept <= 100
    recorder.forget()
    assert lags(recorder)[0] == [0.0] * 8, "what was compared stays"
