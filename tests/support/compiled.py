"""Toys whose repeated blocks are compiled without code generation, and what that compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import toys
from stepcache import torch_settings
from stepcache.torch_settings import RegionalCompile

STEPS = 3
ROUNDING = 1e-4
"""Of a few steps in float32, where attention is computed by another function of PyTorch's."""


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What is compiled stays with the host's code; every test begins with nothing."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def sample(model: Any, name: str, **options: Any) -> torch.Tensor:
    """A few steps, as the toy is sampled."""
    return toys.sample(model, name, **{"steps": STEPS, **dict(toys.TOYS[name].options), **options})


def compiling(model: Any, backend: Any = "eager", dynamic: str = "auto") -> Any:
    """Traced and guarded as always, without code generation, which costs minutes."""
    return torch_settings.apply(model, RegionalCompile(dynamic, backend))


def tried() -> int:
    """So many pieces of code PyTorch has tried to compile."""
    return torch._dynamo.utils.counters["frames"]["total"]


def is_near(picture: torch.Tensor, expected: torch.Tensor, rounding: float = ROUNDING) -> bool:
    """Whether two pictures differ by rounding alone."""
    return bool((picture - expected).abs().max() <= rounding * expected.abs().max())
