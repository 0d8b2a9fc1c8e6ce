"""The forecast beside every setting of PyTorch: both act, and neither changes the other's work."""

from __future__ import annotations

from itertools import product
from typing import Any

import observe
import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from compiled import forgotten  # noqa: F401
from rounded import NARROW, apart
from stepcache import torch_settings
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import StepCache
from stepcache.torch_settings.int8 import ANYWAY
from stepcache.torch_settings.setting import Setting

pytestmark = pytest.mark.usefixtures("forgotten")
MODELS = ("sd15", "wan")
STEPS, COMPUTED = 10, 5
ATTENTION = torch_settings.AttentionBackend("math")
IN_FULL = torch_settings.Precision("float32 in full")
IN_BFLOAT16 = torch_settings.Precision("bfloat16")
FUSED = torch_settings.FusedProjections()
COMPILED = torch_settings.RegionalCompile(backend="eager")
IN_INT8 = torch_settings.DynamicInt8(NARROW, ANYWAY)
STACKS: dict[str, tuple[Setting, ...]] = {
    "attention": (ATTENTION,), "in full": (IN_FULL,), "bfloat16": (IN_BFLOAT16,),
    "fused": (FUSED,), "compiled": (COMPILED,), "int8": (IN_INT8,),
    "all but compiled": (ATTENTION, IN_FULL, FUSED, IN_INT8),
    "all but fused": (ATTENTION, IN_FULL, COMPILED, IN_INT8),
}  # fmt: skip


def steps_of(model: Any, name: str) -> torch.Tensor:
    return toys.sample(model, name, steps=STEPS)


def with_settings(model: Any, stack: str) -> Any:
    for setting in STACKS[stack]:
        model = torch_settings.apply(model, setting)
    return model


CASES = list(product(MODELS, STACKS))


@pytest.mark.parametrize(("name", "stack"), CASES)
def test_at_speed_1_the_picture_is_that_of_the_setting(name: str, stack: str) -> None:
    model = with_settings(toys.load(name), stack)
    # Of what is compiled, the first run is told apart.
    steps_of(model, name)
    assert torch.equal(steps_of(attach(model, StepCache(1.0)), name), steps_of(model, name))


@pytest.mark.parametrize(("name", "stack"), CASES)
def test_where_nothing_changes_the_picture_is_that_of_the_setting(name: str, stack: str) -> None:
    method = StepCache(2.0, carried="denoised")
    model = with_settings(toys.load(name), stack)
    steps_of(model, name)
    plain = steps_of(observe.hold_network_still(model, in_denoised=True), name)
    patched = observe.hold_network_still(attach(model, method), in_denoised=True)
    assert torch.equal(steps_of(patched, name), plain)
    assert last_report(patched).strip_of("evaluation").count("C") == COMPUTED


@pytest.mark.parametrize(("name", "stack"), CASES)
def test_half_of_the_calls_are_made_with_the_setting_in_force(name: str, stack: str) -> None:
    """In any order of the nodes."""
    model = toys.load(name)
    steps_of(model, name)
    marks = observe.fingerprint(model)
    pictures: list[torch.Tensor] = []
    for patched in (
        attach(with_settings(model, stack), StepCache(2.0)),
        with_settings(attach(model, StepCache(2.0)), stack),
    ):
        patched, calls = counted(patched)
        steps_of(patched, name)
        calls.clear()
        pictures.append(steps_of(patched, name))
        assert len(calls) == COMPUTED
        report = last_report(patched)
        assert report.strip_of("evaluation") == report.plans["evaluation"]
        told = torch_settings.told_by(patched)
        for setting in STACKS[stack]:
            assert any(line.startswith(setting.name) for line in told), setting.name
    assert torch.equal(*pictures)
    assert observe.fingerprint(model) == marks


@pytest.mark.parametrize(("name", "stack"), CASES)
def test_what_a_setting_changes_is_not_amplified(name: str, stack: str) -> None:
    """A line multiplies what two evaluations were rounded by, and no more."""
    model = toys.load(name)
    alone = apart(steps_of(with_settings(model, stack), name), steps_of(model, name))
    cached = attach(model, StepCache(2.0))
    both = apart(steps_of(with_settings(cached, stack), name), steps_of(cached, name))
    assert both <= 4 * alone


def counted(model: Any) -> tuple[Any, list[int]]:
    """A clone that writes down the calls of its network."""
    clone, calls = model.clone(), list[int]()

    def count(executor: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return executor(*args, **kwargs)

    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "counted", count)
    return clone, calls
