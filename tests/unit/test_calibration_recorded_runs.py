"""What layers may return, runs that are not even, and streams that share calls in their own way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from calibration_files import table
from recorded import (
    BOTH_STREAMS,
    FEED_FORWARD,
    LOOKAHEAD,
    OUTPUTS,
    SELF,
    STEPS,
    fed,
    lags,
    near,
    recorded,
    site_of,
)
from session_bench import COND, NEXT_SITE, SITE, UNCOND
from stepcache.cache_core.calibration import Place
from stepcache.cache_core.calibration.recorder import Recorder
from stepcache.cache_core.sites import Site
from stepcache.cache_core.streams import StreamKey
from stepcache.cache_core.values import Value

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


def test_the_current_step_does_not_count_yet() -> None:
    """A run that is stopped may be in the middle of it."""
    recorder = fed([torch.full((1, 2), 2.0**step) for step in range(3)])
    assert recorder.measured_steps == 1
    recorder.forget()
    assert recorder.measured_steps == 2


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
    expected = table(4, 2, 0.1, (Place(SELF),))
    recorder = Recorder(4, 2, depth=1)
    for step in (0, 1, 3):
        recorder.observe(SITE, [COND], torch.full((1, 2), 2.0**step), step)
    rows = expected.rows[Place(SELF)]
    assert recorder.beside(expected) == pytest.approx(((rows[0][0] + rows[1][1]) / 2, 0.625))
    assert Recorder(4, 2).beside(expected) is None


def test_layers_with_schedules_of_their_own_are_compared_each_by_itself() -> None:
    """One is computed at 0, 1 and 3, the other at 0, 2 and 3; both have the same shape."""
    expected = table(4, 2, 0.1, (Place(SELF), Place(SELF, 0), Place(SELF, 1)))
    recorder = Recorder(4, 2, depth=1)
    for step in range(4):
        for site, steps in ((SITE, (0, 1, 3)), (NEXT_SITE, (0, 2, 3))):
            if step in steps:
                value = torch.full((1, 2), 2.0**step)
                recorder.observe(site, [COND], value, step, company=site)
    one, other = (expected.rows[Place(SELF, index)] for index in (0, 1))
    wanted = (one[0][0] + one[1][1] + other[1][0] + other[0][2]) / 4
    assert recorder.beside(expected) == pytest.approx((wanted, 0.625))
