"""Beside ComfyUI's own compiler, which expects that a call of the network keeps nothing.

No tested host has it yet. What it does is done here as it does it: where its option allows it, each
call of the network is recorded, and what of the call is alive afterwards is counted.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import cases
import pytest
import torch
import toys
from comfy.cli_args import args
from comfy.patcher_extension import WrappersMP
from promises import STEPS
from stepcache import torch_settings
from stepcache.cache_core.calibration import Study
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.comfy_compiler import COMFY_COMPILER, OFF, OPTION
from stepcache.cache_core.methods import PAB, Calibrate, FasterCache, StepCache
from stepcache.torch_settings.int8 import ANYWAY
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Recording(TorchDispatchMode):
    """One call of the network."""

    def __init__(self) -> None:
        super().__init__()
        self._made: list[weakref.ref[torch.Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self._made += [weakref.ref(t) for t in tree_leaves(made) if isinstance(t, torch.Tensor)]
        return made

    def alive(self, but: Any) -> int:
        """So many tensors of the call are still there, but for those that it returned."""
        gc.collect()
        returned = {t.untyped_storage().data_ptr() for t in tree_leaves(but)}
        alive = (made() for made in self._made)
        return sum(t is not None and t.untyped_storage().data_ptr() not in returned for t in alive)


class Compiler:
    """The host's compiler: what it recorded.

    Args:
        monkeypatch: puts networks back.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.calls = 0
        self.recorded: list[int] = []
        """Tensors that outlived each call that was recorded."""

    def around(self, model: Any) -> Any:
        """The model, whose network is called in its scope."""
        network = model.model.diffusion_model
        self._monkeypatch.setattr(network, "forward", partial(self._call, network.forward))
        return model

    def _call(self, forward: Any, *given: Any, **options: Any) -> Any:
        self.calls += 1
        if getattr(args, OPTION):
            return forward(*given, **options)
        with Recording() as recording:
            result = forward(*given, **options)
        self.recorded.append(recording.alive(result))
        return result

    def greatest(self) -> int:
        """Most tensors that outlived one of the calls since it was last asked."""
        greatest = max(self.recorded)
        self.recorded.clear()
        return greatest


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compiler]:
    """A host with a compiler, which is on, and on again afterwards."""
    monkeypatch.setattr(args, OPTION, False, raising=False)
    yield Compiler(monkeypatch)
    assert getattr(args, OPTION) is False


def sampled(model: Any, name: str) -> torch.Tensor:
    return toys.sample(model, name, steps=STEPS)


def layers_of(name: str) -> list[Any]:
    return [
        pytest.param(case, id=str(case))
        for case in cases.CASES
        if case.model == name and case.method != "StepCache"
    ]


@pytest.mark.parametrize("case", [*layers_of("sd15"), *layers_of("wan")])
def test_it_is_off_where_values_of_layers_are_kept(case: cases.Case, compiler: Compiler) -> None:
    model = attach(compiler.around(toys.load(case.model)), case.reusing())
    sampled(model, case.model)
    assert compiler.calls > 0
    assert compiler.recorded == []
    assert OFF in last_report(model).notes


@pytest.mark.parametrize("name", ["sd15", "wan"])
def test_without_that_it_would_meet_what_is_kept(name: str, compiler: Compiler) -> None:
    """Otherwise that nothing is met would prove nothing."""
    model = attach(compiler.around(toys.load(name)), PAB(2, 2, 2))
    clone = model.clone()

    def on_again(executor: Any, *given: Any, **options: Any) -> Any:
        setattr(args, OPTION, False)
        return executor(*given, **options)

    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "on again", on_again)
    sampled(clone, name)
    with_layers = compiler.greatest()
    sampled(toys.load(name), name)
    assert with_layers > compiler.greatest()


@pytest.mark.parametrize("name", [c.model for c in cases.CASES if c.method == "StepCache"])
def test_forecasts_leave_it_on_and_keep_nothing_of_a_call(name: str, compiler: Compiler) -> None:
    toy = toys.TOYS[name]
    plain = compiler.around(toys.load(name))
    toys.sample(plain, name, steps=3, **dict(toy.options))
    # Some networks keep something themselves, such as tables of positions.
    expected = compiler.greatest()
    model = attach(plain, StepCache(2.0))
    toys.sample(model, name, steps=3, **dict(toy.options))
    assert compiler.greatest() <= expected
    assert OFF not in last_report(model).notes


def test_guidance_alone_leaves_it_on(compiler: Compiler) -> None:
    alone = FasterCache(1, 1, 1, guidance_interval=2, guidance_window=cases.WHOLE_RUN)
    plain = compiler.around(toys.load("wan"))
    sampled(plain, "wan")
    expected = compiler.greatest()
    model = attach(plain, alone)
    sampled(model, "wan")
    assert last_report(model).total_reused > 0
    assert compiler.greatest() <= expected


def test_a_calibrating_run_has_it_off(compiler: Compiler) -> None:
    study = Study(lambda calibration: (calibration, ()))
    model = attach(compiler.around(toys.load("wan")), Calibrate(study))
    sampled(model, "wan")
    assert compiler.calls > 0 and compiler.recorded == []


@pytest.mark.parametrize(
    ("setting", "is_off"),
    [
        (torch_settings.FusedProjections(), True),
        (torch_settings.RegionalCompile(backend="eager"), True),
        (torch_settings.DynamicInt8(8, ANYWAY), True),
        (torch_settings.Precision("float32 in full"), False),
        (torch_settings.AttentionBackend("math"), False),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_settings_that_keep_tensors_have_it_off(
    setting: Any, is_off: bool, compiler: Compiler
) -> None:
    model = torch_settings.apply(compiler.around(toys.load("wan")), setting)
    sampled(model, "wan")
    assert compiler.calls > 0
    assert (compiler.recorded == []) is is_off
    assert (OFF in torch_settings.told_by(model)) is is_off


def test_it_is_on_again_after_an_error(compiler: Compiler) -> None:
    model = attach(compiler.around(toys.load("wan")), PAB(2, 2, 2)).clone()

    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("in the call")

    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "fails", fails)
    with pytest.raises(RuntimeError, match="in the call"):
        sampled(model, "wan")


def test_runs_that_overlap_have_it_off_until_the_last_is_over(compiler: Compiler) -> None:
    notes: list[str] = []
    with ExitStack() as first:
        first.enter_context(COMFY_COMPILER.off(notes.append))
        with COMFY_COMPILER.off(notes.append):
            first.close()
            assert getattr(args, OPTION) is True
    assert notes == [OFF, OFF]


@pytest.mark.parametrize("is_there", [False, True], ids=["none", "off"])
def test_a_host_without_it_or_with_it_off_is_left_alone(
    is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(args, OPTION, raising=False)
    if is_there:
        monkeypatch.setattr(args, OPTION, True, raising=False)
    model = attach(toys.load("wan"), PAB(2, 2, 2))
    sampled(model, "wan")
    assert OFF not in last_report(model).notes
    assert getattr(args, OPTION, None) == (True if is_there else None)
