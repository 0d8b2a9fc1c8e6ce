"""What cannot be compiled or stand beside compiled blocks runs as it is, or is refused in words."""

from __future__ import annotations

from typing import Any

import observe
import pytest
import runtime_weights
import torch
import toys
from comfy.model_management import InterruptProcessingException
from compiled import compiling, forgotten, is_near, sample, tried  # noqa: F401
from stepcache import torch_settings
from stepcache.cache_core.errors import ConfigError, UnsupportedModelError
from stepcache.cache_core.host.intercept.attention import OVERRIDE
from stepcache.torch_settings import FusedProjections, RegionalCompile

pytestmark = pytest.mark.usefixtures("forgotten")


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    model = toys.load("wan")
    patched = compiling(model, "inductor")
    assert torch.equal(sample(patched, "wan"), sample(model, "wan"))
    (line,) = torch_settings.told_by(patched)
    assert line.startswith("Regional Compile: nothing was compiled: there is no C++ compiler")


def test_what_cannot_be_compiled_runs_as_it_is() -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("no space left")

    model = toys.load("flux")
    plain = sample(model, "flux")
    patched = compiling(model, fail)
    for is_tried in (True, False):
        picture = sample(patched, "flux")
        assert is_near(picture, plain) and (is_tried or torch.equal(picture, plain))
        assert "torch.compile failed: " in torch_settings.told_by(patched)[-1]
        assert "no space left" in torch_settings.told_by(patched)[-1]
    before = tried()
    assert is_near(sample(compiling(model), "flux"), plain)
    assert tried() > before, "another node may try again"


def test_who_has_taken_itself_out_again_does_not_answer() -> None:
    """The host leaves every layer's own forward on it when a bypass LoRA ends."""
    model = toys.load("sd3")
    network = model.model.diffusion_model
    layers = [each for each in network.modules() if isinstance(each, torch.nn.Linear)]
    for layer in layers:
        layer.forward = type(layer).forward.__get__(layer)
    patched = compiling(model)
    before = tried()
    try:
        picture = sample(patched, "sd3")
    finally:
        for layer in layers:
            del layer.forward
    assert tried() > before
    assert not any("as it is" in line for line in torch_settings.told_by(patched))
    assert is_near(picture, sample(model, "sd3"))


def test_an_interrupt_while_compiling_leaves_nothing() -> None:
    def stop(*_: Any) -> Any:
        raise InterruptProcessingException

    model = toys.load("wan")
    plain, marks = sample(model, "wan"), observe.fingerprint(model)
    patched = compiling(model, stop)
    with pytest.raises(InterruptProcessingException):
        sample(patched, "wan")
    assert observe.fingerprint(model) == marks
    assert torch_settings.told_by(patched)
    assert torch._dynamo.config.suppress_errors is False
    assert is_near(sample(compiling(model), "wan"), plain)
    assert torch.equal(sample(model, "wan"), plain)


def test_an_error_of_the_model_is_its_own() -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("in the middle of a block")

    model = toys.load("wan").clone()
    sample(model, "wan")
    marks = observe.fingerprint(model)
    model.model_options["transformer_options"][OVERRIDE] = fail
    with pytest.raises(ZeroDivisionError, match="in the middle of a block"):
        sample(compiling(model), "wan")
    assert observe.fingerprint(model) == marks


@pytest.mark.parametrize("is_first", [True, False])
def test_what_fuses_or_compiles_by_itself_is_refused(is_first: bool) -> None:
    model = toys.load("wan")
    with pytest.raises(ConfigError, match=r"also carries a .* node, and compiled blocks would be"):
        if is_first:
            compiling(torch_settings.apply(model, FusedProjections()))
        else:
            torch_settings.apply(compiling(model), FusedProjections())
    words = "Regional Compile: the model also goes through TorchCompileModel"
    with pytest.raises(ConfigError, match=words):
        if is_first:
            compiling(runtime_weights.COMPILE(model))
        else:
            sample(runtime_weights.COMPILE(compiling(model)), "wan")


def test_a_model_whose_memory_changes_while_it_runs_is_loaded_otherwise_or_refused() -> None:
    model = toys.load("wan").clone()
    model.is_dynamic = lambda: True
    words = r"Regional Compile: the memory of this model changes.*start ComfyUI with --disable-dyn"
    with pytest.raises(ConfigError, match=words):
        compiling(model)


def test_unknown_networks_and_choices_are_refused() -> None:
    model = toys.TOYS["wan"].make()
    model.model.diffusion_model = torch.nn.Linear(2, 2)
    with pytest.raises(UnsupportedModelError, match=r"Linear is no network whose.*TorchCompileM"):
        compiling(model)
    with pytest.raises(ConfigError, match="there is no choice of dynamic 'maybe'; expected one of"):
        RegionalCompile("maybe")
