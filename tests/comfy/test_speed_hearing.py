"""What an audit hears of single runs: waits with their lines, blocks, settings, the compiler."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
import toys
from stepcache import torch_settings
from stepcache.audit.ab_test import AbTest
from stepcache.audit.block_lists import block_lists_of
from stepcache.audit.device_syncs import Wait, Waiting, _copied
from stepcache.audit.op_trace import COMPILED, OpTracer
from stepcache.audit.profiling import Profiling, _profiled
from stepcache.audit.timing import Timing
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB, FasterCache, StepCache
from stepcache.cache_core.schedules import PercentRange
from stepcache.torch_settings.fusing import _Fusing
from stepcache.torch_settings.setting import Setting, Watch

STEPS = 4
WHOLE = PercentRange(0.0, 1.0)


def heard(model: Any, name: str, **options: Any) -> Any:
    listening = OpTracer()
    toys.sample(listening.on(model), name, steps=STEPS, **options)
    return listening.heard


def wrapped(name: str, do: Callable[[torch.Tensor], object]) -> Any:
    """A model with a function in front of it, as other nodes set one."""

    def function(apply: Any, given: dict[str, Any]) -> Any:
        do(given["input"])
        return apply(given["input"], given["timestep"], **given["c"])

    model = toys.load(name).clone()
    model.set_model_unet_function_wrapper(function)
    return model


def reads(x: torch.Tensor) -> None:
    x.sum().item()


def decides(x: torch.Tensor) -> bool:
    return bool((x > 0).all())


def takes(x: torch.Tensor) -> torch.Tensor:
    return x.cpu()


def takes_by_name(x: torch.Tensor) -> torch.Tensor:
    return x.to("cpu")


def lists(x: torch.Tensor) -> list[float]:
    return x.flatten()[:2].tolist()


def picks(x: torch.Tensor) -> torch.Tensor:
    return x[x > 0]


def looks(x: torch.Tensor) -> torch.Tensor:
    return torch.nonzero(x > 0)


@pytest.mark.parametrize(
    ("do", "what"),
    [
        (reads, "reads a number"),
        (decides, "decides by a number"),
        (takes, "copies to the CPU"),
        (takes_by_name, "copies to the CPU"),
        (lists, "reads numbers"),
        (picks, "picks by a mask"),
        (looks, "looks for what is not zero"),
    ],
)
def test_a_wait_is_heard_once_with_its_line(
    do: Callable[[torch.Tensor], object], what: str
) -> None:
    plain = heard(toys.load("wan"), "wan")
    found = heard(wrapped("wan", do), "wan")
    lines, first = inspect.getsourcelines(do)
    line = f"tests/comfy/test_speed_hearing.py:{first + len(lines) - 1}"
    # The function stands before the host's own call of the model.
    assert {w: n for w, n in found.waits.items() if w not in plain.waits} == {
        Wait(what, line, is_in_model=False): 1
    }


def test_a_wait_in_the_model_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toys.load("wan")
    block = model.model.diffusion_model.blocks[1]
    forward = block.forward

    def waiting(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        reads(x)
        return forward(x, *args, **kwargs)

    monkeypatch.setitem(block.__dict__, "forward", waiting)
    (wait,) = (w for w in heard(model, "wan").waits if "test_speed_hearing" in w.line)
    assert wait.is_in_model


@pytest.mark.parametrize("name", ["wan", "flux"])
def test_caches_wait_for_nothing_in_the_model(name: str) -> None:
    """Between its calls the clock reads the sigma, and that is all."""
    plain = heard(toys.load(name), name).waits
    for method in (PAB(2, 1, 2, WHOLE), FasterCache()):
        model = attach(toys.load(name), method)
        extra = {w: n for w, n in heard(model, name).waits.items() if w not in plain}
        assert last_report(model).total_reused > 0 or isinstance(method, FasterCache)
        assert [w.line.split("/")[-1].split(":")[0] for w in extra] == ["sampling_scale.py"]
        assert not any(w.is_in_model for w in extra) and sum(extra.values()) == 1


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_forecasts_wait_for_nothing_but_the_noise_level(sampler: str) -> None:
    plain = heard(toys.load("wan"), "wan", sampler=sampler).waits
    model = attach(toys.load("wan"), StepCache(2.0))
    extra = {w for w in heard(model, "wan", sampler=sampler).waits if w not in plain}
    assert last_report(model).total_reused > 0
    assert {w.line.split("/")[-1].split(":")[0] for w in extra} == {"sampling_scale.py"}


def test_what_lies_on_the_cpu_beside_a_gpu_is_not_waited_for() -> None:
    waiting = Waiting(torch.device("cuda"))
    waiting.is_on = True
    with waiting:
        torch.ones(2).sum().item()
    assert not waiting.found


@pytest.mark.parametrize("may_run_on", [False, True])
def test_copies_are_waited_for_unless_they_may_run_on(may_run_on: bool) -> None:
    """Tensors without memory stand for those of another device."""
    waiting, beside = Waiting(torch.device("meta")), torch.empty(2, device="meta")
    waiting.is_on = True
    with waiting:
        torch.ones(2).to("meta", non_blocking=may_run_on)
        beside.copy_(torch.ones(2), non_blocking=may_run_on)
        torch.ones(2).copy_(torch.ones(2))
    assert [w.what for w in waiting.found] == ([] if may_run_on else ["copies to the device"] * 2)
    assert _copied(beside, torch.ones(2), False) == "copies to the CPU"


@pytest.mark.parametrize(
    ("name", "lists"),
    [
        ("wan", {"blocks": 3}),
        ("flux", {"double_blocks": 2, "single_blocks": 2}),
        ("sdxl", {"input_blocks": 9, "middle_block": 1, "output_blocks": 9}),
    ],
)
def test_lists_of_blocks_are_found_heard_and_timed(name: str, lists: dict[str, int]) -> None:
    model = toys.load(name)
    before = forwards_of(model)
    found = heard(model, name)
    assert {name: found.block_lists[name][0] for name in lists} == lists
    assert all(found.block_lists[name][1].keys() == {"float32"} for name in lists), (
        "in what is multiplied"
    )
    attention = sum(sum(by.values()) for _, _, by in found.block_lists.values())
    assert attention == sum(found.attention.values()) > 0, "all attention is in a block"
    assert sum(found.dtypes.values()) >= sum(
        sum(seen[1].values()) for seen in found.block_lists.values()
    )
    profiling = Profiling()
    toys.sample(profiling.on(model), name, steps=STEPS)
    profiled = profiling.profiled
    assert profiled.reason is None and profiled.block_lists is not None
    assert lists.keys() <= profiled.block_lists.keys()
    assert 0 < sum(profiled.block_lists.values()) <= 1
    assert 0 < profiled.operators < 1 and profiled.transfer == 0 and profiled.longest
    assert forwards_of(model) == before, "nothing stays"
    assert {blocks.name for blocks in block_lists_of(model.model.diffusion_model)} >= lists.keys()


def forwards_of(model: Any) -> dict[str, Any]:
    """What stands in for the forward of modules: the host's bypass LoRA leaves them their own."""
    modules = model.model.diffusion_model.named_modules()
    return {path: m.__dict__["forward"] for path, m in modules if "forward" in m.__dict__}


def test_a_profile_without_work_says_so() -> None:
    assert _profiled([], 1.0, is_cuda=True).reason == "the profiler saw no work of the device"


def test_a_chosen_backend_is_what_is_heard() -> None:
    plain = heard(toys.load("wan"), "wan").attention
    chosen = heard(
        torch_settings.apply(toys.load("wan"), torch_settings.AttentionBackend("math")), "wan"
    ).attention
    assert chosen == {"math": sum(plain.values())} != plain


@dataclass(frozen=True, slots=True)
class Doubled(Setting):
    """Asks twice."""

    name: ClassVar[str] = "Doubled"

    calls: list[str]

    @contextmanager
    def scope(self, guider: Any) -> Generator[Watch]:
        self.calls.append("in force")

        class Twice(Watch):
            def call(watch, compute: Callable[[], Any], model: Any) -> Any:
                self.calls.append("call")
                return compute()

        try:
            yield Twice()
        finally:
            self.calls.append("over")


class Broken(Doubled):
    @contextmanager
    def scope(self, guider: Any) -> Generator[Watch]:
        raise ValueError("no such thing here")
        yield Watch()


def test_settings_are_tried_beside_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepcache.audit.ab_test.MIN_ROUNDS", 2)
    monkeypatch.setattr("stepcache.audit.ab_test.MAX_ROUNDS", 2)
    calls: list[str] = []
    trying = AbTest({"doubled": Doubled(calls), "broken": Broken(calls)})
    model = toys.load("wan")
    expected = toys.sample(model, "wan", steps=STEPS)
    assert torch.equal(toys.sample(trying.on(model), "wan", steps=STEPS), expected)
    assert calls == ["in force", "call", "over"] * 3, "once to warm up, twice to be timed"
    assert trying.tried.keys() == {"doubled"} and trying.tried["doubled"].rounds == 2
    assert trying.failed == {"broken": "ValueError: no such thing here"}
    assert trying.one_branch is not None and trying.plain is not None
    alone = AbTest({})
    toys.sample(alone.on(model), "wan", steps=STEPS, cfg=1.0)
    assert alone.one_branch is None, "only one ran"


def test_fused_weights_are_made_once_while_they_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    fused = _Fusing._fused
    monkeypatch.setattr(_Fusing, "_fused", lambda self, met: made.append(met) or fused(self, met))
    trying = AbTest({"fused": torch_settings.FusedProjections()})
    model = toys.load("wan")
    toys.sample(trying.on(model), "wan", steps=STEPS)
    assert len(made) == 2 * len(model.model.diffusion_model.blocks), "of both attentions"


def test_what_is_compiled_is_counted_and_not_listened_to() -> None:
    model = wrapped("wan", lambda x: compiled(x))

    @torch.compile(backend="eager")
    def compiled(x: torch.Tensor) -> torch.Tensor:
        y = x + 1
        torch._dynamo.graph_break()
        return y * 2

    timing = Timing()
    toys.sample(timing.on(model), "wan", steps=STEPS)
    assert timing.timed is not None
    assert timing.timed.compiled["graphs compiled"] == 2
    assert timing.timed.compiled["graph breaks"] == 1
    again = Timing()
    toys.sample(again.on(model), "wan", steps=STEPS)
    assert again.timed is not None and not any(again.timed.compiled.values())
    model.model_options["torch_compile_kwargs"] = {}
    assert heard(model, "wan").reason == COMPILED
