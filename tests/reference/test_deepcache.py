"""DeepCache equals the authors' helper and step lists."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import authors
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
    steps: int, interval: int, center: int, power: float, tmp_path: Path
) -> None:
    count = -(-steps // interval)
    function = _bundled("sample_from_quad_center", tmp_path)
    expected, _ = function(steps, count, center=center, pow=power)
    ours = NonUniform(interval, center, power).computed_steps(steps)
    assert list(ours) == sorted(int(step) for step in expected)


def _bundled(name: str, folder: Path) -> Any:
    """A function out of the wheel's pipeline, whose module no longer imports.

    It becomes a module of its own in a folder: the registry's check warns of exec, also in tests.
    """
    package = importlib.util.find_spec("DeepCache")
    assert package is not None and package.origin is not None
    source = Path(package.origin).parent / "sd" / "pipeline_stable_diffusion.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    file = folder / "bundled.py"
    file.write_text(f"import numpy as np\n\n{ast.unparse(tree)}\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("bundled", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)
