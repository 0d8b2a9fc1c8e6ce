"""Who samples a part of the latents at a time gets no other part's values, told of or not."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cases
import promises
import pytest
import torch
import toys
from cases import Case
from companions import parts
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.evaluation.latent_parts import UNKNOWN_PART, Pass, Window
from stepcache.cache_core.methods import FasterCache
from stepcache.cache_core.schedules import PercentRange

METHODS = ("PAB", "PAB blocks", "DeepCache", "FasterCache attention", "TGate", "SmoothCache")
CASES = [cases.MORE_BUILDERS[method]("sd15") for method in METHODS]
each_method = pytest.mark.parametrize("case", CASES, ids=str)
UNTOLD = {
    "windows": (parts.windows(parts.moving, announces=False), METHODS),
    "tiles": (parts.tiles(parts.SpotDiffusion(1)), ("PAB",)),
    "tiles in one call": (parts.tiles(parts.SpotDiffusion(2)), ("TGate",)),
    "tiles of nobody knows whom": (parts.tiles(parts.Unknown(1)), ("DeepCache",)),
    "tiles around the model": (parts.tiles_around_the_model, ("PAB", "DeepCache")),
}
each_untold = pytest.mark.parametrize(
    ("patch", "case"),
    [
        pytest.param(patch, cases.MORE_BUILDERS[method]("sd15"), id=f"{name}-{method}")
        for name, (patch, methods) in UNTOLD.items()
        for method in methods
    ],
)
Patch = Callable[[Any], Any]


def _sample(model: Any, **options: Any) -> torch.Tensor:
    return toys.sample(model, "sd15", **{**parts.clip("sd15"), **options})


@each_untold
def test_what_nobody_tells_of_is_computed(patch: Patch, case: Case) -> None:
    plain = _sample(patch(toys.load("sd15")))
    for model in (
        patch(attach(toys.load("sd15"), case.reusing())),
        attach(patch(toys.load("sd15")), case.reusing()),
    ):
        assert torch.equal(_sample(model), plain)
        report = last_report(model)
        assert UNKNOWN_PART in report.nothing_reused_because
        assert report.peak_nbytes == 0


@each_method
def test_announced_windows_change_nothing(case: Case) -> None:
    """Frames do not depend on each other here, so that windows over them do not matter."""
    model = attach(toys.load("sd15"), case.reusing())
    whole = _sample(model)
    counts = last_report(model).to_dict()["kinds"]
    windows = parts.windows(parts.still, announces=True)(model)
    # As for law 6: kernels differ by rounding between batches of three and of six.
    torch.testing.assert_close(_sample(windows), whole, rtol=1e-3, atol=1e-3 * whole.std().item())
    reused = {kind: 2 * each["reused"] for kind, each in counts.items() if kind != "guidance"}
    seen = last_report(model).to_dict()["kinds"]
    assert {kind: seen[kind]["reused"] for kind in reused} == reused
    moving = parts.windows(parts.moving, announces=True)
    attach_behind = attach(moving(toys.load("sd15")), case.reusing())
    for either in (moving(model), attach_behind):
        plain = _sample(moving(toys.load("sd15")))
        error, without = ((each - plain).norm() for each in (_sample(either), whole))
        assert error <= without


GUIDANCE = FasterCache(
    2, 2, 2, guidance_interval=3,
    attention_window=PercentRange(0.0, 1.0), guidance_window=PercentRange(0.0, 1.0),
)  # fmt: skip


@pytest.mark.parametrize("settings", [*(case.reusing() for case in CASES), GUIDANCE], ids=str)
def test_tiles_of_a_known_pack_may_share_a_call(settings: Any) -> None:
    model = attach(toys.load("sd15"), settings)
    alone = toys.sample(parts.tiles(parts.MultiDiffusion(1))(model), "sd15")
    counts = last_report(model).to_dict()["kinds"]
    assert last_report(model).total_reused > 0
    together = toys.sample(parts.tiles(parts.MultiDiffusion(2))(model), "sd15")
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3 * alone.std().item())
    assert last_report(model).to_dict()["kinds"] == counts
    assert not last_report(model).forced


WHOLE = (2, 4, 12, 16)


@pytest.mark.parametrize(
    ("area", "shape"),
    [
        ((6, 8, 6, 8), (2, 4, 6, 8)),
        ((8, 16, 6, 4), (2, 4, 6, 12)),
        ((8,  4), (2, 4, 12, 8)),
        ((9, 6, 8, 0, 0, 8), (2, 4, 9, 6)),
    ],
)  # fmt: skip
def test_areas_are_cut_as_the_host_does(area: tuple[int, ...], shape: tuple[int, ...]) -> None:
    entry = {"area": area, "uuid": "a"}
    current = Pass.of(None, [[entry], None], WHOLE, {"transformer_options": {}}, WHOLE)
    assert current.areas == {"a": shape}
    assert current.tiles((4, *shape[1:]), ["a", "a"], None) == 1
    assert current.tiles((4, *shape[1:]), ["a", "b"], None) == 0


def test_a_window_of_the_pass_before_is_none() -> None:
    options = {"transformer_options": {"ad_params": {"sub_idxs": [0, 1, 2]}}}
    assert Pass.of(None, [[]], (6, 4, 8, 8), options, (6, 4, 8, 8)).window is None
    current = Pass.of(None, [[]], (3, 4, 8, 8), options, (6, 4, 8, 8))
    assert current.window == Window((0, 1, 2), 0)
    assert current.latent == (3, 4, 8, 8)
    assert Pass.of(None, [[]], (3, 4, 4, 8), options, (6, 4, 8, 8)).latent is None


def test_what_is_plain_costs_a_few_calls_in_an_evaluation_however_many_layers_ask() -> None:
    calls = Counter[str]()

    def count(frame: Any, event: str, _: Any) -> None:
        module = Path(frame.f_code.co_filename)
        if event == "call" and module.name in ("parts.py", "branches.py"):
            calls[module.name] += 1

    model = attach(toys.load("sd15"), CASES[0].reusing())
    sys.setprofile(count)
    try:
        toys.sample(model, "sd15", steps=promises.STEPS, size=8)
    finally:
        sys.setprofile(None)
    # One pass and one call of the model, the same for every layer in it.
    assert calls["parts.py"] <= 40 * promises.STEPS
    assert calls["branches.py"] == 1, "made once for the run"
