"""DeepCache equals the authors' helper and step lists."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import authors
import numpy as np
import pytest
import tiny
from parity import Table, assert_identical
from stepcache.cache_core.methods import DeepCache
from stepcache.cache_core.non_uniform import NonUniform

TIMESTEPS = tiny.ddim_timesteps(7)
SETTINGS = [(3, branch) for branch in range(9)] + [(2, 0), (5, 5)]


@pytest.mark.parametrize("model", [tiny.SD, tiny.SDXL], ids=str)
@pytest.mark.parametrize(("interval", "branch"), SETTINGS)
def test_deepcache_equals_the_helper(
    model: tiny.Tiny, interval: int, branch: int, table: Table
) -> None:
    reference, _ = authors.deepcache(model.make(), TIMESTEPS, interval, branch)
    assert_identical(
        table,
        ("DeepCache", authors.NAMES["DeepCache"], "diffusers modules, float64"),
        tiny.cached(model, TIMESTEPS, DeepCache(interval, branch)),
        tiny.sample(model, reference, TIMESTEPS),
        tiny.uncached(model, TIMESTEPS),
    )


@pytest.mark.parametrize(
    ("steps", "interval", "center", "power"),
    [
        *((50, n, 15, 1.4) for n in (2, 3, 4, 5, 10)),
        (50, 5, 10, 1.2), (25, 5, 8, 1.4), (30, 3, 10, 1.4), (20, 3, 7, 1.3), (50, 5, 0, 1.4),
        (50, 5, 25, 1.6), (100, 5, 30, 1.5),
    ],
)  # fmt: skip
def test_the_non_uniform_steps_equal_the_bundled_function(
    steps: int, interval: int, center: int, power: float
) -> None:
    count = -(-steps // interval)
    expected, _ = _bundled("sample_from_quad_center")(steps, count, center=center, pow=power)
    ours = NonUniform(interval, center, power).computed_steps(steps)
    assert list(ours) == sorted(int(step) for step in expected)


def _bundled(name: str) -> Any:
    """A function out of the wheel's pipeline, whose module no longer imports."""
    package = importlib.util.find_spec("DeepCache")
    assert package is not None and package.origin is not None
    source = Path(package.origin).parent / "sd" / "pipeline_stable_diffusion.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    found: dict[str, Any] = {"np": np}
    exec(compile(tree, str(source), "exec"), found)
    return found[name]
