"""The published implementations, asked the same questions in the same order, answer the same."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import twins
from DeepCache import DeepCacheSDHelper
from diffusers import PyramidAttentionBroadcastConfig
from diffusers.hooks import apply_pyramid_attention_broadcast
from stepcache.cache_core.methods import PAB, DeepCache
from stepcache.cache_core.patching import attach, last_report
from stepcache.cache_core.schedules import TimestepRange

each_layout = pytest.mark.parametrize("layout", twins.LAYOUTS)

TOLERANCE = 1e-5
"""Relative to the answer's spread: the two UNet classes themselves differ by about 1e-6 in float32,
because they order their operations differently."""


def _ask(reference: torch.nn.Module, call: twins.Call) -> torch.Tensor:
    with torch.inference_mode():
        timestep = call.timestep[0]
        return reference(call.x, timestep, encoder_hidden_states=call.context, return_dict=False)[0]


def _assert_same(answer: torch.Tensor, expected: torch.Tensor) -> None:
    assert (answer - expected).abs().max() < TOLERANCE * expected.std()


def _assert_reuse_shows(expected: torch.Tensor, uncached: torch.Tensor) -> None:
    assert (expected - uncached).abs().max() > 100 * TOLERANCE * expected.std()


@each_layout
@pytest.mark.parametrize(("branch", "interval"), [(0, 2), *((branch, 3) for branch in range(9))])
def test_deepcache_equals_the_helper(layout: str, branch: int, interval: int) -> None:
    model, reference = twins.twins(layout)
    patched = attach(model, DeepCache(interval, branch))
    calls = twins.record_calls(patched, steps=7)
    assert last_report(patched).total_reused > 0
    timesteps = torch.stack([call.timestep[0] for call in calls])
    uncached = [_ask(reference, call) for call in calls]
    helper = DeepCacheSDHelper(
        SimpleNamespace(unet=reference, scheduler=SimpleNamespace(timesteps=timesteps))
    )
    helper.set_params(cache_interval=interval, cache_branch_id=branch)
    helper.enable()
    for index, call in enumerate(calls):
        expected = _ask(reference, call)
        _assert_same(call.answer, expected)
        if index % interval:
            _assert_reuse_shows(expected, uncached[index])


@each_layout
@pytest.mark.parametrize(("self_range", "cross_range"), [(2, 1), (2, 3), (3, 6)])
def test_pab_equals_the_hooks_of_diffusers(layout: str, self_range: int, cross_range: int) -> None:
    model, reference = twins.twins(layout)
    window = (100, 850)
    patched = attach(model, PAB(self_range, 1, cross_range, TimestepRange(*window)))
    calls = twins.record_calls(patched, steps=20)
    assert last_report(patched).total_reused > 0
    uncached = [_ask(reference, call) for call in calls]
    now: list[float] = []
    config = PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=self_range,
        cross_attention_block_skip_range=cross_range,
        spatial_attention_timestep_skip_range=window,
        cross_attention_timestep_skip_range=window,
        current_timestep_callback=lambda: now[-1],
    )
    apply_pyramid_attention_broadcast(reference, config)
    strips = {kind: last_report(patched).strip_of(kind) for kind in last_report(patched).plans}
    for index, call in enumerate(calls):
        now.append(float(call.timestep[0]))
        expected = _ask(reference, call)
        _assert_same(call.answer, expected)
        if strips["self_attention"][index] == "R":
            _assert_reuse_shows(expected, uncached[index])
