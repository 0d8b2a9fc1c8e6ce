"""What is compared from step to step: numbers worked out by hand, and what the authors measured.

The fixture is written by ``tests/reference/freeze_calibration.py``, which says what is in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from session_bench import COND, NEXT_SITE, SITE, UNCOND
from stepcache.cache_core.calibration import Average, Place, scan
from stepcache.cache_core.calibration.recorder import ELEMENTS, Recorder
from stepcache.cache_core.sites import Site, SiteKind
from stepcache.cache_core.streams import StreamKey
from stepcache.cache_core.values import Value

SELF, FEED_FORWARD = SiteKind.SELF_ATTENTION, SiteKind.FEED_FORWARD
FIXTURE = (
    Path(__file__).parents[1] / "reference" / "fixtures" / "smoothcache_calibrator.safetensors"
)
KINDS = {"attn1": SELF, "ff": FEED_FORWARD}
LOOKAHEAD = 5

with safe_open(FIXTURE, framework="pt") as _file:
    FROZEN: dict[str, Any] = json.loads(_file.metadata()["run"])
    OUTPUTS = {path: _file.get_tensor(path) for path in _file.keys()}  # noqa: SIM118

STEPS = len(FROZEN["timesteps"])
BOTH_STREAMS = (UNCOND, COND)
"""Rows are (uncond, uncond, cond, cond)."""


def site_of(path: str) -> Site:
    _, index, component = path.split(".")
    return Site(KINDS[component], int(index))


def recorded(average: Average, elements: int = ELEMENTS) -> Recorder:
    """The authors' run, layer after layer in every step."""
    recorder = Recorder(STEPS, LOOKAHEAD, average, elements)
    for step in range(STEPS):
        for path, outputs in OUTPUTS.items():
            recorder.observe(site_of(path), BOTH_STREAMS, outputs[step], step)
    return recorder


def fed(
    values: Sequence[Value], average: Average = "per sample", lookahead: int = 2, **options: Any
) -> Recorder:
    """A recorder that one site has shown one value per step, all of it cond."""
    recorder = Recorder(len(values), lookahead, average, **options)
    for step, value in enumerate(values):
        recorder.observe(SITE, [COND], value, step)
    return recorder


def lags(recorder: Recorder, place: Place = Place(SELF)) -> list[list[float]]:  # noqa: B008
    return [list(row) for row in recorder.rows(with_layers=True)[place]]


def near(*rows: list[float]) -> Any:
    return [pytest.approx(row) for row in rows]


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
    kept = recorder.peak_nbytes / 4 / depth / rows
    assert 50 < kept <= 100
    recorder.forget()
    assert lags(recorder)[0] == [0.0] * 8, "what was compared stays"


# What layers may return.


def test_of_several_tensors_each_is_seen() -> None:
    """Joint attention returns picture and prompt; a part that is left out is None."""
    values: list[Value] = [
        (torch.full((1, 6, 2), 1.0), None, (torch.full((1, 4), one),)) for one in (1.0, 3.0)
    ]
    assert lags(fed(values, lookahead=1)) == near([8 / (12 + 12)])


def test_parts_of_different_lengths_are_divided_among_the_streams() -> None:
    """SeedVR2 has the tokens of both branches in one sequence, and those of the prompts in
    another: the first half of each is the first stream's."""
    recorder = Recorder(2, 1)
    for step in range(2):
        video = torch.tensor([1.0] * 4 + [1.0 + step] * 4)[:, None]
        prompt = torch.tensor([1.0] * 3 + [1.0 + 3 * step] * 3)[:, None]
        recorder.observe(SITE, BOTH_STREAMS, (video, prompt), step)
    assert lags(recorder, Place(SELF, None, "uncond")) == near([0.0])
    assert lags(recorder, Place(SELF, None, "cond")) == near([(4 * 1 + 3 * 3) / (4 * 2 + 3 * 4)])


@pytest.mark.parametrize("value", [None, (None, ()), torch.ones(3, 4), torch.ones(0, 4)], ids=repr)
def test_what_cannot_be_divided_is_left_out(value: Value) -> None:
    recorder = Recorder(2, 1)
    for step in range(2):
        recorder.observe(SITE, BOTH_STREAMS, value, step)
    assert recorder.rows(with_layers=True) == {}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_half_precision_is_summed_in_single(dtype: torch.dtype) -> None:
    """The sums, 70 000 and 10 000, are beyond float16 and no numbers of bfloat16."""
    big = [torch.full((1, 1000), value, dtype=dtype) for value in (60.0, 70.0)]
    assert lags(fed(big, lookahead=1)) == near([1 / 7])


def test_a_value_is_copied_because_blocks_write_into_what_layers_returned() -> None:
    recorder = Recorder(2, 1)
    for step in range(2):
        value = torch.full((1, 4), 1.0 + step)
        recorder.observe(SITE, [COND], value, step)
        value.zero_()
    assert lags(recorder) == near([0.5])


def test_zeros_have_not_changed() -> None:
    zeros, ones = torch.zeros(1, 4), torch.ones(1, 4)
    assert lags(fed([zeros, zeros, ones], lookahead=1)) == near([0.0, 1.0])


def test_what_is_no_number_stays_none() -> None:
    ones, wrong = torch.ones(1, 4), torch.tensor([[1.0, math.nan, 1.0, 1.0]])
    ((first, second, third),) = lags(fed([ones, ones, wrong, ones], lookahead=1))
    assert first == 0.0
    assert math.isnan(second) and math.isnan(third)


# Runs that are not even.


def test_of_several_evaluations_in_a_step_the_first_one_counts() -> None:
    recorder = Recorder(2, 1)
    for step, value in ((0, 1.0), (0, 9.0), (1, 2.0), (1, 9.0)):
        recorder.observe(SITE, [COND], torch.full((1, 2), value), step)
    assert lags(recorder) == near([0.5])


def test_a_sampler_that_goes_back_is_not_followed() -> None:
    recorder = Recorder(3, 1)
    for step, value in ((0, 1.0), (1, 2.0), (0, 9.0), (2, 4.0)):
        recorder.observe(SITE, [COND], torch.full((1, 2), value), step)
    assert lags(recorder) == near([0.5, 0.5])


def test_a_step_that_did_not_run_is_not_known() -> None:
    recorder = Recorder(4, 2)
    for step in (0, 1, 3):
        recorder.observe(SITE, [COND], torch.full((1, 2), 2.0**step), step)
    assert lags(recorder) == [[0.5, math.inf, math.inf], [math.inf, 0.75]]
    assert recorder.measured_steps == 2


def test_a_size_that_changes_is_compared_with_its_own_only() -> None:
    """Deep shrink: the first two steps at half the size."""
    sizes = (2, 2, 4, 4)
    values = [torch.full((1, size), 2.0**step) for step, size in enumerate(sizes)]
    assert lags(fed(values)) == [[0.5, math.inf, 0.5], [math.inf, math.inf]]


def test_weights_that_change_begin_anew() -> None:
    recorder = Recorder(4, 2)
    for step, weights in enumerate((1.0, 1.0, 0.5, 0.5)):
        stream = replace(COND, weights=weights)
        recorder.observe(SITE, [stream], torch.full((1, 2), 2.0**step), step)
    assert lags(recorder) == [[0.5, math.inf, 0.5], [math.inf, math.inf]]


def test_a_layer_that_is_called_in_some_steps_only_takes_no_other_with_it() -> None:
    """Its kind is not known there, the other kind is."""
    recorder = Recorder(3, 1)
    for step in range(3):
        recorder.observe(SITE, [COND], torch.full((1, 2), 2.0**step), step)
        recorder.observe(Site(FEED_FORWARD, 0), [COND], torch.full((1, 3), 2.0**step), step)
        if step != 1:
            recorder.observe(NEXT_SITE, [COND], torch.full((1, 5), 2.0**step), step)
    assert lags(recorder) == [[math.inf, math.inf]]
    assert lags(recorder, Place(SELF, 0)) == near([0.5, 0.5])
    assert lags(recorder, Place(FEED_FORWARD)) == near([0.5, 0.5])


def test_a_step_that_was_broken_off_can_be_left_out() -> None:
    recorder = fed([torch.full((1, 2), 2.0**step) for step in range(3)])
    recorder.abandon()
    recorder.forget()
    assert recorder.measured_steps == 1
    assert lags(recorder)[0] == [0.5, math.inf]


Calls = Sequence[Sequence[StreamKey]]


@pytest.mark.parametrize(
    "calls_of_step",
    [
        lambda step: [(COND,), (UNCOND,)],
        lambda step: [(UNCOND,), (COND,)],
        lambda step: [(COND, UNCOND)],
        lambda step: [(UNCOND, COND)] if step % 2 else [(COND,), (UNCOND,)],
    ],
    ids=["two calls", "uncond first", "cond first", "alternating"],
)
def test_how_streams_share_calls_does_not_matter(calls_of_step: Any) -> None:
    rows = {UNCOND: slice(0, 2), COND: slice(2, 4)}
    recorder = Recorder(STEPS, LOOKAHEAD)
    for step in range(STEPS):
        calls: Calls = calls_of_step(step)
        for streams in calls:
            for path, outputs in OUTPUTS.items():
                value = torch.cat([outputs[step][rows[stream]] for stream in streams])
                recorder.observe(site_of(path), streams, value, step)
    found, expected = (r.rows(with_layers=True) for r in (recorder, recorded("per sample")))
    assert found.keys() == expected.keys()
    for place, each in expected.items():
        assert lags(recorder, place) == [pytest.approx(row, rel=1e-6) for row in each]


# A run that reuses, beside what was expected of it.


def test_changes_are_set_beside_those_of_a_table() -> None:
    """Computed at 0, 1 and 3: over 1 step a change of 0.5 instead of 0.1, over 2 of 0.75."""
    from calibration_files import table

    expected = table(4, 2, 0.1, (Place(SELF),))
    recorder = Recorder(4, 2, depth=1)
    for step in (0, 1, 3):
        recorder.observe(SITE, [COND], torch.full((1, 2), 2.0**step), step)
    rows = expected.rows[Place(SELF)]
    assert recorder.beside(expected) == pytest.approx(((rows[0][0] + rows[1][1]) / 2, 0.625))
    assert Recorder(4, 2).beside(expected) is None
