"""What is compared from step to step: numbers worked out by hand, and what the authors measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
import torch
from calibration_files import scanned
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
from stepcache.cache_core.calibration import Place
from stepcache.cache_core.calibration.recorder import Recorder
from stepcache.cache_core.calibration.thinning import ELEMENTS
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
            found = scanned(rows[Place(kind)], STEPS, float(alpha), int(lookahead))
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
    kept = recorder.peak_nbytes / 4 / (depth + 2) / rows  # those before, the current one, zeros
    assert 50 < kept <= 100
    recorder.forget()
    assert lags(recorder)[0] == [0.0] * 8, "what was compared stays"


def added(steps: int, *, in_parts: bool, with_base: bool) -> list[list[float]]:
    """Changes of what a block adds to one stream or to two, with one of them thinned out."""
    generator = torch.Generator().manual_seed(1)
    recorder = Recorder(steps, 2, elements=32)
    for step in range(steps):
        drawn = torch.randn(2, 4, 3, 40, generator=generator).unbind()
        turned = [each.transpose(1, 2).contiguous().transpose(1, 2) for each in drawn]
        given, value = turned if step % 2 else drawn
        if in_parts:
            whole = tuple(v - g for v, g in ((value, given), (value[:, :1], given[:, :1])))
            given, value = (given, given[:, :1]), (value, value[:, :1])
        else:
            whole = value - given
        if with_base:
            recorder.observe(SITE, BOTH_STREAMS, value, step, base=given)
        else:
            recorder.observe(SITE, BOTH_STREAMS, whole, step)
    return [list(row) for row in lags(recorder)]


@pytest.mark.parametrize("in_parts", [False, True])
def test_what_is_added_is_compared_as_if_it_had_been_made_whole(in_parts: bool) -> None:
    found = added(4, in_parts=in_parts, with_base=True)
    assert found == near(*added(4, in_parts=in_parts, with_base=False))
    assert 0 < found[0][0] < 5


def test_what_does_not_fit_to_what_it_is_added_to_is_not_compared() -> None:
    recorder = Recorder(3, 1)
    for step in range(3):
        recorder.observe(SITE, [COND], torch.ones(1, 4), step, base=torch.ones(1, 5))
    assert recorder.rows(with_layers=False) == {}


# Where values go.

_generator = torch.Generator().manual_seed(0)
RUN = [[torch.randn(2, 3, 50, generator=_generator) for _ in range(3)] for _ in range(7)]
"""What three sites return in seven steps for two streams."""
SITES = [Site(SELF, index) for index in range(3)]

Table = dict[Place, tuple[tuple[float, ...], ...]]


def together(recorder: Recorder, site: Site, value: torch.Tensor, step: int) -> None:
    recorder.observe(site, BOTH_STREAMS, value, step)


def apart(recorder: Recorder, site: Site, value: torch.Tensor, step: int) -> None:
    for stream, part in zip(BOTH_STREAMS, value.chunk(2), strict=True):
        recorder.observe(site, [stream], part, step)


def exchanged(recorder: Recorder, site: Site, value: torch.Tensor, step: int) -> None:
    recorder.observe(site, BOTH_STREAMS[::-1], torch.cat(value.chunk(2)[::-1]), step)


def table_of(ways: Sequence[Callable[..., None]]) -> Table:
    """The ways in which streams come, one for every value of the run after the other."""
    recorder = Recorder(len(RUN), 2)
    way = cycle(ways)
    for step, values in enumerate(RUN):
        for site, value in zip(SITES, values, strict=True):
            next(way)(recorder, site, value, step)
    return recorder.rows(with_layers=True)


@pytest.mark.parametrize(
    "ways",
    [
        [apart],
        [exchanged],
        [*[together] * 3, *[apart] * 3],
        [*[together] * 4, apart],
        [together, together, exchanged, apart],
    ],
    ids=["apart", "exchanged", "by turns", "apart within a step", "anyhow"],
)
def test_in_which_calls_streams_come_does_not_matter(ways: Sequence[Callable[..., None]]) -> None:
    assert table_of(ways) == table_of([together])


def test_a_value_is_that_which_was_seen() -> None:
    """Some blocks write into what their layers returned."""
    recorder = Recorder(4, 1)
    for step in range(4):
        value = torch.full((1, 3), 1.0 + step)
        recorder.observe(SITE, [COND], value, step)
        value.zero_()
    assert lags(recorder) == near([1 / 2, 1 / 3, 1 / 4])


def test_of_what_comes_again_in_a_step_the_first_counts() -> None:
    """From the third step on its place is known before it comes."""
    recorder = Recorder(5, 1)
    for step in range(5):
        for times in (1.0, 7.0, 9.0):
            for site in SITES:
                recorder.observe(site, [COND], torch.full((1, 3), times * (1 + step)), step)
    assert lags(recorder) == near([1 / 2, 1 / 3, 1 / 4, 1 / 5])


@pytest.mark.parametrize("odd", [[0, 1], [0, 2], [1, 2], [0, 2, 1], [2, 1, 0], [0, 1, 2, 3]])
def test_what_comes_in_another_order_begins_anew(odd: Sequence[int]) -> None:
    """Sites that skip a step, exchange their places or are new are not compared across it."""
    recorder = Recorder(6, 1)
    for step in range(6):
        for index in odd if step == 3 else range(3):
            value = torch.full((1, 4), 1.0 + step + index)
            recorder.observe(Site(SELF, index), [COND], value, step)
    rows = recorder.rows(with_layers=True)
    for index in range(3):
        (found,) = rows[Place(SELF, index)]
        known = [1 / (2 + step + index) for step in range(5)]
        known[2:4] = [math.inf, math.inf]
        assert found == pytest.approx(known)


def test_other_weights_begin_anew() -> None:
    recorder = Recorder(6, 1)
    for step in range(6):
        stream = replace(COND, weights=step // 3)
        for site in SITES:
            recorder.observe(site, [stream], torch.full((1, 4), 1.0 + step), step)
    assert lags(recorder)[0] == pytest.approx([1 / 2, 1 / 3, math.inf, 1 / 5, 1 / 6])


@pytest.mark.parametrize("is_inference", [True, False])
def test_values_of_either_mode_are_taken_in_by_turns(is_inference: bool) -> None:
    """A layer may leave inference mode, or a training node may never enter it."""
    recorder = Recorder(4, 1)
    for step in range(4):
        with torch.inference_mode(is_inference == bool(step % 2)):
            value = torch.full((1, 4), 1.0 + step)
            if not value.is_inference():
                value.requires_grad_()
            recorder.observe(SITE, [COND], value * 1, step)
    with torch.inference_mode(is_inference):
        assert lags(recorder) == near([1 / 2, 1 / 3, 1 / 4])


def test_values_are_read_as_they_lie() -> None:
    """Rows of a longer sequence, and channels that lie last: the same numbers as a copy of them."""
    long = [torch.randn(2, 9, 40, generator=_generator) for _ in range(3)]
    for view in (lambda v: v[:, 2:7], lambda v: v.transpose(1, 2), lambda v: v[:, :, ::3]):
        one, other = Recorder(3, 1, elements=32), Recorder(3, 1, elements=32)
        for step, value in enumerate(long):
            one.observe(SITE, BOTH_STREAMS, view(value), step)
            other.observe(SITE, BOTH_STREAMS, view(value).contiguous(), step)
        assert one.rows(True) == other.rows(True)
