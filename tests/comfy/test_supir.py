"""Beside SUPIR, which follows a UNet block by block with adapters that it counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import host
import pytest
import torch
import toys
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB, DeepCache
from stepcache.cache_core.schedules import PercentRange

supir_patch = host.module("comfy.ldm.supir.supir_patch", "SUPIR")


class _Adapter(torch.nn.Module):
    """Joins what it is given, and writes down that it was its turn."""

    def __init__(self, number: int, turns: list[int]) -> None:
        super().__init__()
        self._number, self._turns = number, turns

    def forward(self, _: Any, h: torch.Tensor, other: Any = None, **__: Any) -> torch.Tensor:
        self._turns.append(self._number)
        return h if other is None else torch.cat([other, h], 1)


def _with_supir() -> tuple[Any, list[int]]:
    """The host's own patch on a small SDXL; its encoder and adapters are stand-ins."""
    turns: list[int] = []
    model = toys.load("sdxl").clone()
    blocks = len(model.model.diffusion_model.output_blocks)
    count = 1 + blocks + 2
    adapters = torch.nn.ModuleList([_Adapter(number, turns) for number in range(count)])
    encoder = SimpleNamespace(control_model=lambda *_: [torch.zeros(1)] * (blocks + 1))
    hint = torch.zeros(1, 4, 8, 8)
    supir_patch.SUPIRPatch(SimpleNamespace(model=encoder), adapters, hint, 1.0, 1.0).register(model)
    return model, turns


def test_attention_is_reused_beside_supir() -> None:
    model, turns = _with_supir()
    toys.sample(model, "sdxl", steps=4)
    expected = turns.copy()
    turns.clear()
    patched = attach(model, PAB(2, 3, 3, PercentRange(0.0, 1.0)))
    toys.sample(patched, "sdxl", steps=4)
    assert turns == expected
    assert last_report(patched).total_reused > 0


def test_deepcache_is_refused_beside_supir() -> None:
    model, _ = _with_supir()
    with pytest.raises(ConfigError, match=r"SUPIR.*Use Apply PAB"):
        toys.sample(attach(model, DeepCache(2, 0)), "sdxl", steps=4)
