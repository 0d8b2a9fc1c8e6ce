"""Compiled blocks beside every cache: nothing is compiled again, and what is reused not at all."""

from __future__ import annotations

from typing import Any

import observe
import pytest
import torch
import toys
from cases import MORE_BUILDERS
from compiled import forgotten, tried  # noqa: F401
from stepcache import torch_settings
from stepcache.cache_core.host import attach, last_report
from stepcache.torch_settings import RegionalCompile

pytestmark = pytest.mark.usefixtures("forgotten")
STEPS = 8
ROUNDING = 1e-4
"""Of several steps in float32, where attention is computed by another function of PyTorch's."""
WARM = 4
"""Steps by which every method below has computed and reused everything."""


def sample(model: Any, name: str, **options: Any) -> torch.Tensor:
    return toys.sample(model, name, steps=STEPS, **{**dict(toys.TOYS[name].options), **options})


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("wan", ("PAB",)),
        ("wan", ("FasterCache",)),
        ("wan", ("SmoothCache",)),
        ("wan", ("PAB blocks",)),
        ("flux", ("PAB",)),
        ("sd15", ("DeepCache", "PAB")),
    ],
)
def test_nothing_is_compiled_again(name: str, methods: tuple[str, ...], is_first: bool) -> None:
    model = toys.load(name)
    setting = RegionalCompile(backend="eager")
    cached = model
    patched = torch_settings.apply(model, setting) if is_first else model
    for method in methods:
        settings = MORE_BUILDERS[method](name).reusing(STEPS)
        cached, patched = attach(cached, settings), attach(patched, settings)
    patched = patched if is_first else torch_settings.apply(patched, setting)
    expected = sample(cached, name)
    marks = observe.fingerprint(model)
    counts = last_report(cached).computed, last_report(cached).reused
    by_step: list[int] = []
    picture = sample(patched, name, callback=lambda *_: by_step.append(tried()))
    assert (picture - expected).abs().max() <= ROUNDING * expected.abs().max()
    report = last_report(patched)
    assert (report.computed, report.reused) == counts
    assert by_step[WARM] == by_step[-1] > 0, "not after every part has run once"
    before = tried()
    assert torch.equal(sample(patched, name), picture)
    assert tried() == before
    assert observe.fingerprint(model) == marks


def test_what_is_reused_calls_nothing_compiled() -> None:
    """Every block that is computed is one call of what was compiled, and no other is made."""
    calls: list[int] = []

    def count(graph: Any, _: Any) -> Any:
        def call(*args: Any) -> Any:
            calls.append(1)
            return graph.forward(*args)

        return call

    model = toys.load("wan")
    method = MORE_BUILDERS["PAB blocks"]("wan").reusing(STEPS)
    patched = attach(torch_settings.apply(model, RegionalCompile(backend=count)), method)
    sample(patched, "wan")
    report = last_report(patched)
    assert report.total_reused > 0
    # cond and uncond share a call.
    assert 2 * len(calls) == report.total_computed
