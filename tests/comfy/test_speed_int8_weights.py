"""Which weights are rounded: with LoRAs and hooks, converted, exchanged."""

from __future__ import annotations

import re
from typing import Any

import observe
import pytest
import torch
import toys
from companions.loras import LORAS
from rounded import NEAR, apart, count, count_of, in_int8, sample, told
from stepcache.torch_settings import int8_layers
from stepcache.torch_settings.int8_kernel import Kernel
from torch import nn


def test_the_weights_are_those_with_the_lora() -> None:
    model = toys.load("sd15")
    plain = sample(model, "sd15")
    key = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_v.weight"
    shape = model.model.state_dict()[key].shape
    change = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with_lora = model.clone()
    assert with_lora.add_patches({key: ("diff", (change,))})
    expected = sample(with_lora, "sd15")
    assert apart(expected, plain) > 2 * NEAR
    assert apart(sample(in_int8(with_lora), "sd15"), expected) <= NEAR
    assert torch.equal(sample(model, "sd15"), plain)


@pytest.mark.parametrize("companion", LORAS, ids=str)
def test_every_sort_of_lora_stands_beside_it(companion: Any) -> None:
    """Merged ones are rounded with the weights; where a LoRA adds or changes something while the
    model samples, layers stay as they are."""
    model = companion.patch(toys.load("wan"))
    plain = companion.sample(model, "wan")
    patched = in_int8(model)
    assert apart(companion.sample(patched, "wan"), plain) <= NEAR
    if companion.name == "bypass LoRA":
        assert "left as they are: another node answers for them" in told(patched)
    elif companion.name == "LoRA":
        assert count(patched) == count_of(in_int8(toys.load("wan")), "wan")
    else:
        words = r"\d+ calls ran as they are: the strength of a LoRA changes during the run"
        assert re.search(words, told(patched))


def test_weights_that_are_converted_when_used_are_taken_as_they_are_used() -> None:
    """Low memory and another weight_dtype: the host's own function gives weight and bias."""
    converted, kept = toys.load("wan").clone(), toys.load("wan").clone()
    converted.set_model_compute_dtype(torch.bfloat16)
    plain, marks = sample(converted, "wan"), observe.fingerprint(converted)
    patched = in_int8(converted)
    assert 0 < apart(sample(patched, "wan"), plain) <= NEAR
    everywhere = count(patched)
    assert torch.equal(sample(converted, "wan"), plain)
    assert observe.fingerprint(converted) == marks
    assert everywhere == count_of(in_int8(kept), "wan")


def test_a_size_that_changes_changes_nothing_else() -> None:
    patched = in_int8(toys.load("flux"))
    small, large = sample(patched, "flux"), sample(patched, "flux", size=24)
    assert small.shape != large.shape
    assert torch.equal(sample(patched, "flux"), small)


def test_a_weight_that_is_exchanged_is_rounded_anew() -> None:
    layer = nn.Linear(64, 48)
    ours = int8_layers.Int8Layer(layer, Kernel.load("test"))
    x = torch.randn(40, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for _ in range(2):
            layer.weight = nn.Parameter(torch.randn(48, 64))
            with int8_layers.ModuleSwap() as swap:
                ours.swap(swap)
                assert apart(layer(x), nn.functional.linear(x, layer.weight, layer.bias)) < 0.05
                assert ours.weight is not None
