"""Law 7: an interrupt or an error at any step leaves nothing behind."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import cases
import comfy.model_management
import observe
import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.installation import KEY
from stepcache.cache_core.host.run import RUN_KEY

STEPS = 4


@cache
def _whole(case: cases.Case) -> torch.Tensor:
    """The picture of a run that nothing stops."""
    return toys.sample(attach(toys.load(case.model), case.reusing(STEPS)), case.model, steps=STEPS)


def _stop_in_model(model: Any, evaluation: int, place: str = "") -> Any:
    """A clone whose model fails inside its `evaluation`-th call, with our patches in place.

    Args:
        place: path of a block in whose first linear layer that is called it fails; otherwise it
            fails in the last layer of the network.
    """
    clone = model.clone()
    calls = iter(range(10**6))

    def fail(executor: Any, *args: Any, **kwargs: Any) -> Any:
        hooks = []
        if next(calls) == evaluation:
            layers = list(executor.class_obj.diffusion_model.get_submodule(place).modules())
            # The last layer: everything before it has run, all stand-ins are in place.
            last = [m for m in layers if isinstance(m, torch.nn.Linear)] if place else layers[-1:]
            hooks = [layer.register_forward_pre_hook(_raise_out_of_memory) for layer in last]
        try:
            return executor(*args, **kwargs)
        finally:
            for hook in hooks:
                hook.remove()

    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "fail", fail)
    return clone


def _raise_out_of_memory(*_: Any) -> None:
    raise torch.OutOfMemoryError("out of memory in the middle of a call")


@cases.each_fast_case
@pytest.mark.parametrize("step", range(STEPS))
def test_an_interrupt_at_any_step_leaves_nothing(case: cases.Case, step: int) -> None:
    model = toys.load(case.model)
    patched = attach(model, case.reusing(STEPS))
    whole, marks = _whole(case), observe.fingerprint(model)

    def interrupt(done: int, *_: Any) -> None:
        if done == step:
            comfy.model_management.interrupt_current_processing()
            comfy.model_management.throw_exception_if_processing_interrupted()

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        toys.sample(patched, case.model, steps=STEPS, callback=interrupt)
    assert last_report(patched).outcome == "interrupted"
    _assert_clean(model, patched, marks)
    assert torch.equal(toys.sample(patched, case.model, steps=STEPS), whole)


@cases.each_fast_case
@pytest.mark.parametrize("evaluation", range(STEPS))
def test_an_error_inside_any_call_leaves_nothing(case: cases.Case, evaluation: int) -> None:
    model = toys.load(case.model)
    patched = attach(model, case.reusing(STEPS))
    whole, marks = _whole(case), observe.fingerprint(model)
    # An evaluation that is answered calls no model.
    calls = 3 if case.method == "StepCache" else STEPS
    with pytest.raises(torch.OutOfMemoryError):
        toys.sample(_stop_in_model(patched, evaluation % calls), case.model, steps=STEPS)
    _assert_clean(model, patched, marks)
    assert torch.equal(toys.sample(patched, case.model, steps=STEPS), whole)


@cases.each_family
@pytest.mark.parametrize("evaluation", [0, 3])
def test_an_error_inside_a_layer_of_any_family_leaves_nothing(
    case: cases.Case, evaluation: int
) -> None:
    model = toys.load(case.model)
    patched = attach(model, case.reusing(STEPS))
    whole, marks = _whole(case), observe.fingerprint(model)
    *_, site = patched.model_options["transformer_options"][KEY].access
    # The block that the last site is in: up to its number.
    place = site.path[: re.search(r"^.*\.(block)?\d+", site.path).end()]
    with pytest.raises(torch.OutOfMemoryError):
        stopped = _stop_in_model(patched, evaluation, place)
        toys.sample(stopped, case.model, steps=STEPS)
    _assert_clean(model, patched, marks)
    assert torch.equal(toys.sample(patched, case.model, steps=STEPS), whole)


def _assert_clean(model: Any, patched: Any, marks: dict[str, Any]) -> None:
    assert observe.stored_bytes() == 0
    assert observe.fingerprint(model) == marks
    assert RUN_KEY not in patched.model_options["transformer_options"]
