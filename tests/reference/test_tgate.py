"""T-GATE equals both versions of the authors' loaders: the latents after every step."""

from __future__ import annotations

from functools import cache

import authors
import pipelines
import pytest
import tgate
import tiny
import torch
from diffusers_host import DiffusersHost
from parity import Table, assert_identical
from stepcache.cache_core.methods import DeepCache, Method, TGate

STEPS = 12
ON = "diffusers modules, float64"

SETTINGS = [
    (10, 2, 5, 1), (5, 0, 1, 1), (8, 2, 3, 1), (10, 2, 5, 2), (6, 1, 2, 3), (1, 0, 1, 1),
    (12, 3, 4, 1), (7, 2, 2, 5),
]  # fmt: skip
"""(gate, warm-up, interval before, interval after). In the last, self-attention is replayed as the
mean of both branches at the first step after the gate; in the one before, there is no gate."""


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_version_2_equals_the_loader(settings: tuple[int, int, int, int], table: Table) -> None:
    _assert_parity(table, tiny.SD, settings)


@pytest.mark.parametrize("settings", [(8, 2, 3, 1), (7, 2, 2, 5)], ids=str)
def test_version_2_equals_the_loader_of_pixart(
    settings: tuple[int, int, int, int], table: Table
) -> None:
    _assert_parity(table, pipelines.PIXART, settings)


@pytest.mark.parametrize("gate", [1, 5, 10])
def test_version_1_equals_the_loader(gate: int, table: Table) -> None:
    pipe = authors.tgate_1().TgateSDLoader(
        pipelines.pipeline(tiny.SD), gate_step=gate, num_inference_steps=STEPS
    )
    assert_identical(
        table,
        ("T-GATE 1", authors.TGATE_1, ON),
        _ours(tiny.SD, TGate(gate, warm_up=0, self_interval=1)),
        pipelines.run(pipe.tgate, tiny.SD, STEPS, gate_step=gate),
        _uncached(tiny.SD),
    )


@pytest.mark.parametrize(("gate", "interval", "branch"), [(6, 3, 0), (6, 2, 4), (9, 3, 1)])
def test_tgate_beside_deepcache_equals_the_loader(
    gate: int, interval: int, branch: int, table: Table
) -> None:
    """The gates are multiples of the interval: the loader counts full steps from the gate on anew.

    Ours count from the first step whatever else acts.
    """
    pipe = tgate.TgateSDDeepCacheLoader(
        pipelines.pipeline(tiny.SD), cache_interval=interval, cache_branch_id=branch
    )
    assert_identical(
        table,
        ("T-GATE 2 + DeepCache", authors.TGATE_2, ON),
        _ours(tiny.SD, TGate(gate, 0, 1, 1), DeepCache(interval, branch)),
        pipelines.run(pipe.tgate, tiny.SD, STEPS, gate_step=gate, sp_interval=1, warm_up=0),
        _uncached(tiny.SD),
    )


def _assert_parity(table: Table, model: tiny.Tiny, settings: tuple[int, int, int, int]) -> None:
    gate, warm_up, before, after = settings
    loader = tgate.TgatePixArtAlphaLoader if model is pipelines.PIXART else tgate.TgateSDLoader
    reference = pipelines.run(
        loader(pipelines.pipeline(model)).tgate, model, STEPS,
        gate_step=gate, warm_up=warm_up, sp_interval=before, fi_interval=after,
    )  # fmt: skip
    assert_identical(
        table,
        ("T-GATE 2", authors.TGATE_2, ON),
        _ours(model, TGate(gate, warm_up, before, after)),
        reference,
        _uncached(model),
    )


def _ours(model: tiny.Tiny, *methods: Method) -> list[torch.Tensor]:
    timesteps = pipelines.timesteps(STEPS)
    with DiffusersHost(tiny.shared(model), methods, timesteps, model.layers) as host:
        return pipelines.denoise(model, host, STEPS)


@cache
def _uncached(model: tiny.Tiny) -> list[torch.Tensor]:
    return pipelines.denoise(model, tiny.plain(tiny.shared(model)), STEPS)
