"""What int8 gains is measured before sampling; what cannot be is refused in words."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import toys
from clocks import counted_time
from rounded import NARROW, in_int8, kitchen, sample, told
from stepcache import torch_settings
from stepcache.cache_core.errors import ConfigError, UnsupportedModelError
from stepcache.torch_settings.int8 import STOP, DynamicInt8
from stepcache.torch_settings.int8_kernel import Gain
from stepcache.torch_settings.int8_layers import linears_of
from torch import nn


def test_no_gain_is_refused_before_sampling_with_the_ratio() -> None:
    """Of a small product, handing it to int8 takes longer than it does: in calls of functions."""
    model = toys.load("wan")
    asked: list[int] = []
    patched = torch_settings.apply(model, DynamicInt8(NARROW, STOP))
    words = (
        r"^Dynamic Int8: nothing is gained here: int8 was 0\.\d\d × as fast as float32 in a "
        r"product of 256 rows, 48 x 64, on cpu \(comfy-kitchen [\d.]+, eager\); expected was more "
        r"than 1.00. Take this node out, or set without_gain to 'int8 all the same'"
    )
    with counted_time(), pytest.raises(ConfigError, match=words):
        sample(patched, "wan", callback=lambda step, *_: asked.append(step))
    assert not asked
    assert not patched.model_options["transformer_options"]["stepcache_speed"].all[0].gains


def test_what_was_measured_holds_for_all_runs_of_the_clone() -> None:
    model = toys.load("wan")
    setting = DynamicInt8(NARROW, STOP)
    patched = torch_settings.apply(model, setting)
    key = ((48, 64), torch.float32, toys.CPU)
    setting.gains[key] = Gain(1.5, 0.0, 256, 48, 64, "float32", "cpu", "a test")
    for each in (patched, patched.clone()):
        sample(each, "wan")
        assert "int8 by itself was 1.50 × as fast as float32" in told(patched)
    assert len(setting.gains) == 1


def test_a_library_that_multiplies_wrongly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(x: torch.Tensor, weight: torch.Tensor, *_: Any) -> torch.Tensor:
        return x.new_zeros(*x.shape[:-1], len(weight))

    broken = SimpleNamespace(**{**vars(kitchen), "int8_linear": zeros})
    monkeypatch.setitem(sys.modules, "comfy_kitchen", broken)
    patched = in_int8(toys.load("wan"))
    with pytest.raises(ConfigError, match="products in int8 are wrong on this device: 100% apart"):
        sample(patched, "wan")


def test_a_device_that_cannot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*_: Any) -> torch.Tensor:
        raise NotImplementedError("no such operator")

    broken = SimpleNamespace(**{**vars(kitchen), "int8_linear": cannot})
    monkeypatch.setitem(sys.modules, "comfy_kitchen", broken)
    patched = in_int8(toys.load("wan"))
    with pytest.raises(ConfigError, match=r"int8 failed on cpu \(no such operator\); expected"):
        sample(patched, "wan")


@pytest.mark.parametrize(
    ("library", "words"),
    [
        (None, r"cannot import comfy_kitchen \(.*\); expected comfy-kitchen with products in int8"),
        (ModuleType("comfy_kitchen"), r"has comfy-kitchen [\d.]+, which lacks int8_linear, quant"),
    ],
)
def test_a_comfyui_without_int8_is_refused(
    library: ModuleType | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "comfy_kitchen", library)
    with pytest.raises(ConfigError, match=f"^Dynamic Int8: this ComfyUI {words}.*Update ComfyUI"):
        in_int8(toys.load("wan"))


def test_a_model_without_wide_layers_is_refused() -> None:
    words = "least_width is 512, and no layer of this WanModel has so many .* the widest has 48"
    with pytest.raises(ConfigError, match=words):
        in_int8(toys.load("wan"), 512)


def test_a_model_without_layers_that_may_be_rounded_is_refused() -> None:
    model = toys.load("wan").clone()
    network = nn.Sequential(nn.Linear(8, 8))
    bare = SimpleNamespace(
        model=SimpleNamespace(diffusion_model=network), model_options=model.model_options
    )
    with pytest.raises(UnsupportedModelError, match="no linear layers were found in attention"):
        in_int8(bare)


def test_quantized_weights_are_refused_before_sampling() -> None:
    model = toys.load("wan")
    patched = in_int8(model)
    layers = linears_of(model.model.diffusion_model).values()
    kept = {layer: layer.weight for layer in layers}
    try:
        for layer in layers:
            fp8 = layer.weight.to(torch.float8_e4m3fn)
            layer.weight = nn.Parameter(fp8, requires_grad=False)
        with pytest.raises(ConfigError, match="weights of this WanModel are quantized already"):
            sample(patched, "wan")
    finally:
        for layer, weight in kept.items():
            layer.weight = weight


def test_a_compiled_model_is_refused_whichever_node_comes_first() -> None:
    words = "Dynamic Int8: the model goes through TorchCompileModel"
    model = toys.load("wan").clone()
    patched = in_int8(model)
    for each in (model, patched):
        each.model_options["torch_compile_kwargs"] = {}
    with pytest.raises(ConfigError, match=words):
        in_int8(model)
    with pytest.raises(ConfigError, match=words):
        sample(patched, "wan")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((0, STOP), "Dynamic Int8: least_width is 0; expected 1 or more"),
        ((512, "never"), "Dynamic Int8: without_gain is 'never'; expected one of stop with a mess"),
    ],
)
def test_bad_input_is_refused(inputs: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        DynamicInt8(*inputs)
