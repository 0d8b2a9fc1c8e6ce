"""ComfyUI's modules under our methods, and what a reference answers to the same questions.

Both sides are asked what ComfyUI's sampler asked, step by step, so that rounding cannot add up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import twins
from parity import Table, assert_close
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import Method
from stepcache.cache_core.report import Report
from stepcache.cache_core.schedules import TimestepRange

Ask = Callable[[twins.Call], torch.Tensor]
"""Asks a diffusers model what ComfyUI's was asked."""

GUIDANCE: Mapping[str, Any] = {
    "temporal_attention": 1, "cross_attention": 1,
    "guidance_interval": 4, "guidance_window": TimestepRange(-1, 965),
    "low_gain": 1.1, "low_window": TimestepRange(500, 1001),
    "high_gain": 1.2, "high_window": TimestepRange(-1, 700),
    "compounds": True,
}  # fmt: skip
GUIDANCE_CONFIG: Mapping[str, Any] = {
    "unconditional_batch_skip_range": 4,
    "unconditional_batch_timestep_skip_range": (-1, 965),
    "alpha_low_frequency": 1.1,
    "low_frequency_weight_update_timestep_range": (500, 1001),
    "alpha_high_frequency": 1.2,
    "high_frequency_weight_update_timestep_range": (-1, 700),
}
"""FasterCache's guidance in our words and in diffusers'."""


@dataclass(frozen=True)
class Run:
    """One run of ours: what was asked and answered, and what was planned and done.

    Args:
        strip: of all kinds together, R where any of them reuses.
    """

    record: twins.Record
    report: Report
    strip: str


def sample(model: Any, name: str, steps: int, method: Method) -> Run:
    """Sample with a method."""
    patched = attach(model, method)
    record = twins.record_run(patched, name, steps)
    report = last_report(patched)
    columns = zip(*(report.strip_of(kind) for kind in report.plans), strict=True)
    return Run(record, report, "".join("R" if "R" in column else "C" for column in columns))


def assert_calls_agree(
    table: Table, what: tuple[str, str, str], run: Run, network: Ask, switch_on: Callable[[], Ask]
) -> None:
    """The answers of every call of the network.

    Args:
        network: asks the reference's network without its cache.
        switch_on: switches the cache on.
    """
    calls = run.record.calls
    uncached = [network(call) for call in calls]
    reference = switch_on()
    expected = [reference(call) for call in calls]
    assert_close(table, what, [call.answer for call in calls], expected, uncached, run.strip)


def assert_branches_agree(
    table: Table, what: tuple[str, str, str], run: Run, network: Ask, switch_on: Callable[[], Ask]
) -> None:
    """The outputs of both branches, uncond above cond, also where one is made up.

    The host hands out denoised latents, x - sigma × output for the models here. Outputs are known
    from them with the rounding of x / sigma.
    """
    both, pooled = run.record.calls[0].context, run.record.calls[0].pooled
    assert len(both) == 2
    asked: list[twins.Call] = []
    ours: list[torch.Tensor] = []
    sizes: list[float] = []
    for call, seen in zip(run.record.calls, run.record.evaluations, strict=True):
        x = torch.cat([call.x[:1], call.x[:1]])
        asked.append(twins.Call(x, call.timestep[:1].repeat(2), both, call.answer, pooled))
        branches = torch.cat([seen.uncond, seen.cond])
        ours.append((seen.x - branches) / seen.sigma)
        sizes.append((seen.x / seen.sigma).abs().max().item())
    uncached = [network(call) for call in asked]
    reference = switch_on()
    expected = [reference(call) for call in asked]
    assert_close(table, what, ours, expected, uncached, run.strip, sizes)
