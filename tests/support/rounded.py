"""Toys with linear layers in int8, and what is told of them."""

from __future__ import annotations

import re
from typing import Any

import host
import pytest
import torch
import toys
from stepcache import torch_settings
from stepcache.cache_core.schedules import PercentRange
from stepcache.torch_settings.int8 import ANYWAY, DynamicInt8

kitchen = host.module("comfy_kitchen", "comfy-kitchen")
if not hasattr(kitchen, "int8_linear"):
    pytest.skip("this ComfyUI's comfy-kitchen has no int8", allow_module_level=True)

STEPS = 3
NARROW = 16
"""Toys are narrow: all of their layers, then."""
NEAR = 0.1
"""Of a few steps through random weights, which carry on what rounding to 1/254 of each row does;
0.03 was the most that was seen. In krea2's toy, which multiplies gates by gates, 0.01 of a layer
becomes 0.25 of the picture: it is not asked."""
WHOLE = PercentRange(0.0, 1.0)


def sample(model: Any, name: str, **options: Any) -> torch.Tensor:
    return toys.sample(model, name, steps=STEPS, **{**dict(toys.TOYS[name].options), **options})


def in_int8(model: Any, least_width: int = NARROW) -> Any:
    return torch_settings.apply(model, DynamicInt8(least_width, ANYWAY))


def count(patched: Any) -> int:
    """Layers that were computed in int8 in the last run."""
    (number,) = re.findall(r"^Dynamic Int8: (\d+) linear layers in int8", told(patched))
    return int(number)


def told(patched: Any) -> str:
    return "\n".join(torch_settings.told_by(patched))


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def count_in(text: str) -> int:
    return sum(int(n) for n in re.findall(r"Dynamic Int8: (\d+) linear layers in int8", text))


def count_of(patched: Any, name: str) -> int:
    sample(patched, name)
    return count(patched)
