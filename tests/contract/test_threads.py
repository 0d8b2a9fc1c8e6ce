"""Two threads that sample one loaded model: each draws what it draws alone, and leaves no mark."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from threading import Barrier, Lock
from typing import Any

import calibrating
import cases
import observe
import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from compiled import forgotten  # noqa: F401
from relay import Relay, at_every_module
from stepcache import torch_settings
from stepcache.cache_core.host import attach, last_report
from stepcache.torch_settings import int8

STEPS = 4
MODELS = ("sd15", "wan", "flux")
CASES = {
    model: {c.method: c for c in cases.CASES if c.model == model and c.method not in cases.FORMS}
    for model in MODELS
}
PLAIN = "plain"
Draw = Callable[[], torch.Tensor]


@cache
def _alone(model: str, form: str, steps: int = STEPS) -> tuple[torch.Tensor, Any]:
    """The picture of a run that is by itself, and what was counted in it."""
    patched = _patched(model, form, steps)
    return _draw(patched, model, steps)(), _counted(patched)


def _patched(model: str, form: str, steps: int = STEPS) -> Any:
    plain = toys.load(model)
    return plain.clone() if form == PLAIN else attach(plain, CASES[model][form].reusing(steps))


def _draw(patched: Any, model: str, steps: int = STEPS) -> Draw:
    return partial(toys.sample, patched, model, steps=steps, **dict(toys.TOYS[model].options))


def _counted(patched: Any) -> Any:
    try:
        report = last_report(patched)
    except LookupError:
        return None
    return report.computed, report.reused, report.forced, report.outcome


PAIRS = [
    pytest.param(model, form, other, id=f"{model}-{form}-{other}")
    for model in MODELS
    for form in CASES[model]
    for other in dict.fromkeys((PLAIN, form, "PAB", "DeepCache"))
    if other == PLAIN or other in CASES[model]
]


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize(("model", "one", "other"), PAIRS)
def test_calls_that_interleave_anywhere_draw_as_one_after_the_other(
    model: str, one: str, other: str, seed: int | None
) -> None:
    """Threads change wherever a module is called, before its forward is."""
    alone = [_alone(model, form) for form in (one, other)]
    marks = observe.fingerprint(toys.load(model))
    clones = [_patched(model, form) for form in (one, other)]
    relay = Relay(seed)
    with at_every_module(relay):
        pictures = relay.run(*(_draw(relay.wrapped(clone), model) for clone in clones))
    assert relay.switches > 100, "the threads were in the middle of each other's calls"
    for picture, clone, (expected, counted) in zip(pictures, clones, alone, strict=True):
        assert torch.equal(picture, expected)
        assert _counted(clone) == counted
    assert observe.fingerprint(toys.load(model)) == marks
    assert observe.stored_bytes() == 0


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize(
    ("model", "form"), [(model, form) for model in MODELS for form in CASES[model]]
)
def test_one_clone_in_two_threads_draws_twice_the_same(
    model: str, form: str, seed: int | None
) -> None:
    expected, counted = _alone(model, form)
    marks = observe.fingerprint(toys.load(model))
    clone = _patched(model, form)
    relay = Relay(seed)
    with at_every_module(relay):
        pictures = relay.run(*(_draw(relay.wrapped(clone), model) for _ in range(2)))
    assert all(torch.equal(picture, expected) for picture in pictures)
    assert _counted(clone) == counted
    assert observe.fingerprint(toys.load(model)) == marks


@pytest.mark.parametrize("other", [PLAIN, "PAB", "DeepCache"])
def test_calibrating_beside_another_run_measures_and_draws_as_alone(other: str) -> None:
    alone, (expected, _) = calibrating.calibrate("sd15"), _alone("sd15", other, calibrating.STEPS)
    marks = observe.fingerprint(toys.load("sd15"))
    relay = Relay()
    beside = relay.wrapped(_patched("sd15", other, calibrating.STEPS))
    model = relay.wrapped(toys.load("sd15"))
    with at_every_module(relay):
        calibrated, picture = relay.run(
            partial(calibrating.calibrate, "sd15", model), _draw(beside, "sd15", calibrating.STEPS)
        )
    assert torch.equal(calibrated.picture, alone.picture)
    assert torch.equal(picture, expected)
    assert calibrated.calibration.table == alone.calibration.table
    assert calibrated.calibration.costs.flops == alone.calibration.costs.flops
    assert calibrated.calibration.influence == alone.calibration.influence
    assert observe.fingerprint(toys.load("sd15")) == marks


def test_calibrating_leaves_what_other_threads_draw_alone() -> None:
    """There is one generator for all threads."""
    relay = Relay()

    def draw() -> int:
        for number in range(600):
            torch.rand(3)
            drawn = torch.get_rng_state()
            relay.pass_on()
            assert torch.equal(torch.get_rng_state(), drawn), number
        return relay.switches

    with at_every_module(relay):
        calibrated, switches = relay.run(partial(calibrating.calibrate, "wan"), draw)
    assert calibrated.calibration.influence, "the network was asked once more now and then"
    assert switches > 1000


SETTINGS = {
    "Fused Projections": torch_settings.FusedProjections(),
    "Dynamic Int8": torch_settings.DynamicInt8(32, int8.ANYWAY),
    "Regional Compile": torch_settings.RegionalCompile(backend="eager"),
    "Precision": torch_settings.Precision("TF32"),
    "Attention Backend": torch_settings.AttentionBackend("math"),
}


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "Attention Backend"])
def test_a_plain_run_beside_one_with_a_setting_is_plain(name: str) -> None:
    """Attention Backend selects for the whole process, which its help page says."""
    plain, _ = _alone("wan", PLAIN)
    patched = torch_settings.apply(toys.load("wan"), SETTINGS[name])
    expected, told = _draw(patched, "wan")(), torch_settings.told_by(patched)
    marks = observe.fingerprint(toys.load("wan"))
    relay = Relay(0)
    clones = [relay.wrapped(each) for each in (patched, toys.load("wan"))]
    with at_every_module(relay):
        pictures = relay.run(*(_draw(clone, "wan") for clone in clones))
    assert torch.equal(pictures[0], expected) and torch.equal(pictures[1], plain)
    assert len(torch_settings.told_by(patched)) == len(told)
    assert observe.fingerprint(toys.load("wan")) == marks


@pytest.mark.parametrize("other", ["PAB", *SETTINGS])
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_and_caches_in_two_threads(name: str, other: str) -> None:
    """Threads change between evaluations and, as the interpreter wants, anywhere."""

    def made(which: str) -> Any:
        plain = toys.load("wan")
        return (
            torch_settings.apply(plain, SETTINGS[which])
            if which in SETTINGS
            else _patched("wan", which)
        )

    before = torch.get_float32_matmul_precision(), enabled_backends()
    clones = [made(name), made(other)]
    expected = [_draw(clone, "wan")() for clone in clones]
    marks = observe.fingerprint(toys.load("wan"))
    with switching_often():
        pictures = at_once(clones, "wan")
    assert all(map(torch.equal, pictures, expected))
    assert observe.fingerprint(toys.load("wan")) == marks
    assert (torch.get_float32_matmul_precision(), enabled_backends()) == before


@pytest.mark.parametrize("model", MODELS)
def test_threads_that_run_freely_draw_as_one_after_the_other(model: str) -> None:
    alone = {form: _alone(model, form)[0] for form in (*CASES[model], PLAIN)}
    marks = observe.fingerprint(toys.load(model))
    with switching_often():
        for form in CASES[model]:
            forms = (form, "PAB", PLAIN)
            pictures = at_once([_patched(model, each) for each in forms], model)
            for each, picture in zip(forms, pictures, strict=True):
                assert torch.equal(picture, alone[each]), (form, each)
    assert observe.fingerprint(toys.load(model)) == marks


def enabled_backends() -> tuple[bool, ...]:
    cuda = torch.backends.cuda
    return cuda.flash_sdp_enabled(), cuda.math_sdp_enabled(), cuda.mem_efficient_sdp_enabled()


@contextmanager
def switching_often() -> Iterator[None]:
    """The interpreter changes threads every 0.1 ms instead of every 5."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def at_once(models: list[Any], name: str) -> list[torch.Tensor]:
    """Their pictures, drawn in threads that enter and leave the sampler together.

    What the host does before and after is not made for threads: it seeds one generator, and takes
    the patcher from the model when one run is over.
    """
    host, border = Lock(), Barrier(len(models), timeout=120)

    def wrapped(model: Any) -> Any:
        clone = model.clone()

        def sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
            host.release()
            try:
                border.wait()
                result = executor(*args, **kwargs)
                border.wait()
                return result
            finally:
                host.acquire()

        clone.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, "at_once", sample)
        return clone

    def draw(model: Any) -> torch.Tensor:
        with host:
            return _draw(wrapped(model), name)()

    with ThreadPoolExecutor(len(models)) as pool:
        return list(pool.map(draw, models))
