"""Foreign values that a network, a guider or a sampling object answers, as in the file beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import observe
import pytest
import runtime_sampling
import torch
import toys
from comfy.patcher_extension import WrappersMP
from hostile import METHODS, MISSING, STEPS, WHOLE, Hostile, drawn
from stepcache.cache_core.host import attach
from stepcache.cache_core.host.guard import TOLD
from stepcache.cache_core.host.installation import KEY
from stepcache.cache_core.methods import PAB

RETURNED: dict[str, Callable[[torch.Tensor], Any]] = {
    "one row for both prompts": lambda y: y[:1],
    "one number": lambda y: y.mean(),
    "another kind of tensor": lambda y: torch.nn.Parameter(y, requires_grad=False),
    "a strided view": lambda y: y.transpose(1, 2).contiguous().transpose(1, 2),
}


@pytest.mark.parametrize("method", ["PAB", "blocks", "gate"])
@pytest.mark.parametrize("what", RETURNED)
def test_what_a_layer_returns_may_be_of_any_form(what: str, method: str) -> None:
    """Stood in for by another node, as some do with a module's own forward."""
    model = toys.TOYS["wan"].make()
    for block in model.model.diffusion_model.blocks:
        layer, own = block.self_attn, block.self_attn.forward
        layer.forward = lambda *args, own=own, **kwargs: RETURNED[what](own(*args, **kwargs))
    plain = toys.sample(model, "wan")
    idle = attach(model, PAB(1, 1, 1, WHOLE))
    assert torch.equal(toys.sample(idle, "wan"), plain)
    patched = attach(model, METHODS[method])
    picture = toys.sample(patched, "wan")
    assert torch.isfinite(picture).all()
    assert torch.equal(toys.sample(patched, "wan"), picture)
    assert observe.stored_bytes() == 0


@pytest.mark.parametrize("value", [None, "gone", 3, MISSING], ids=["none", "words", "3", "missing"])
def test_without_its_settings_a_model_samples_as_without_the_node(value: Any) -> None:
    """A node that builds the options anew may keep our wrappers and lose what they go by."""
    model = attach(toys.load("wan"), METHODS["PAB"]).clone()
    options = model.model_options["transformer_options"]
    options.pop(KEY) if value is MISSING else options.update({KEY: value})
    assert torch.equal(toys.sample(model, "wan"), drawn())


@pytest.mark.parametrize(
    "scale", [None, [3.0] * STEPS, "3", {}, Hostile()], ids=lambda v: type(v).__name__
)
def test_a_guider_may_keep_anything_as_its_scale(scale: Any) -> None:
    def run(model: Any) -> torch.Tensor:
        guider = runtime_sampling.OwnGuider(model)
        guider.set_conds(*toys.conditioning("wan"))
        guider.cfg = scale
        return runtime_sampling.guided(guider, model, "wan")

    plain = run(toys.load("wan"))
    assert torch.equal(run(attach(toys.load("wan"), PAB(1, 1, 1, WHOLE))), plain)


SCALED: dict[str, Callable[[], Any]] = {
    "an error": lambda: 1 / 0,
    "no number": lambda: torch.full((2, 1), torch.nan),
    "none": lambda: None,
    "complex": lambda: torch.tensor([[1j], [1j]]),
    "many numbers": lambda: torch.ones(2, 2),
    "neither picture nor noise": lambda: torch.zeros(2, 1),
}


@pytest.mark.parametrize("what", SCALED)
def test_latents_that_cannot_be_taken_apart_are_computed(what: str) -> None:
    """Some packs bring sampling objects that mix whole latents alone."""
    model = toys.load("wan").clone()
    own = type(model.get_model_object("model_sampling"))

    class Picky(own):
        def noise_scaling(self, sigma: Any, noise: Any, *args: Any, **kwargs: Any) -> Any:
            if noise.ndim < 4:
                return SCALED[what]()
            return super().noise_scaling(sigma, noise, *args, **kwargs)

    picky = Picky(model.model.model_config)
    picky.load_state_dict(model.get_model_object("model_sampling").state_dict())
    model.add_object_patch("model_sampling", picky)
    plain = toys.sample(model, "wan")
    patched = attach(model, METHODS["whole"])
    assert torch.equal(toys.sample(patched, "wan"), plain)
    report = observe.report_of(patched)
    assert report.outcome == "finished"
    assert report.nothing_reused_because
    assert sum(TOLD in note for note in report.notes) == 1
    assert observe.stored_bytes() == 0


ANSWERS: dict[str, Callable[[torch.Tensor], Any]] = {
    "no number": lambda x: x * torch.nan,
    "another size": lambda x: x[..., :4],
    "another type": lambda x: x.double(),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_what_the_network_said_may_be_anything(what: str) -> None:
    """In one step only, which is the last before a forecast."""
    calls: list[int] = []

    def answer(executor: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        said = executor(*args, **kwargs)
        return [ANSWERS[what](each) for each in said] if len(calls) == 2 else said

    def restore(executor: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        said = executor(x, *args, **kwargs)
        return said if said.shape == x.shape and said.isfinite().all() else x * 0.5

    outside = toys.load("wan").clone()
    outside.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "restore", restore)
    outside = attach(outside, METHODS["whole"])
    outside.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "answer", answer)
    picture = toys.sample(outside, "wan")
    assert torch.isfinite(picture).all()
    assert observe.report_of(outside).outcome == "finished"
    assert observe.stored_bytes() == 0
