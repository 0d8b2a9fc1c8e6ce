"""Attention by a chosen backend of PyTorch, in real models, beside caches and other nodes."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import observe
import pytest
import torch
import toys
from comfy.ldm.modules import attention as host_attention
from comfy.model_management import InterruptProcessingException
from stepcache import torch_settings
from stepcache.cache_core.errors import ConfigError, UnsupportedModelError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB
from stepcache.cache_core.schedules import PercentRange
from stepcache.torch_settings.attention import (
    BACKENDS,
    OVERRIDE,
    AttentionBackend,
    _Attending,
    _attention,
)

ON_CPU = ("auto", "flash", "math")
STEPS = 4
OPERATORS = {
    "flash": "aten::_scaled_dot_product_flash_attention_for_cpu",
    "math": "aten::_scaled_dot_product_attention_math",
}
ROUNDING = 2e-3
"""Of a few steps in float32: every backend adds up in an order of its own, and toys of random
weights carry that on."""
WHOLE = PercentRange(0.0, 1.0)


def sample(model: Any, name: str, **options: Any) -> torch.Tensor:
    return toys.sample(model, name, steps=STEPS, **options)


@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize("name", ["sd15", "sdxl", "sd3", "flux", "wan", "shapes_dit"])
def test_the_picture_stays_and_the_model_is_untouched(name: str, backend: str) -> None:
    model = toys.load(name)
    plain, marks = sample(model, name), observe.fingerprint(model)
    patched = torch_settings.apply(model, AttentionBackend(backend))
    picture = sample(patched, name)
    scale = plain.abs().max()
    assert (picture - plain).abs().max() <= ROUNDING * scale
    assert torch.equal(sample(patched, name), picture)
    assert OVERRIDE not in patched.model_options["transformer_options"]
    assert torch.equal(sample(model, name), plain)
    assert observe.fingerprint(model) == marks


@pytest.mark.parametrize("backend", ["flash", "math"])
def test_what_is_told_is_what_the_profiler_saw(backend: str) -> None:
    patched = torch_settings.apply(toys.load("sd15"), AttentionBackend(backend))
    with torch.profiler.profile() as profile:
        sample(patched, "sd15")
    seen = Counter(event.name for event in profile.events() if event.name in OPERATORS.values())
    told = torch_settings.told_by(patched)
    assert all(f": {backend}, " in line for line in told)
    assert all(line.startswith(f"Attention Backend ({backend}): ") for line in told)
    # One more finds out, before sampling, whether the device can do it; and the first of every
    # shape, which is listened to, is recorded on its way in and on its way out.
    assert seen[OPERATORS[backend]] == sum(map(calls_in, told)) + 1 + len(told)
    shapes = {match for line in told for match in re.findall(r"(\d+) queries, (\d+) keys", line)}
    assert len(shapes) > 1, "cross-attention has other keys than self-attention"


def calls_in(line: str) -> int:
    (calls,) = re.findall(r", (\d+) calls$", line)
    return int(calls)


@pytest.mark.parametrize("backend", ["memory-efficient", "cuDNN"])
def test_what_the_device_cannot_do_is_refused_before_sampling(backend: str) -> None:
    model = toys.load("sd15")
    plain = sample(model, "sd15")
    patched = torch_settings.apply(model, AttentionBackend(backend))
    words = (
        f"Attention Backend: {backend} attention does not work on cpu with float32 .*; what does "
        f"is auto, flash, math. Choose one of those"
    )
    with pytest.raises(ConfigError, match=words):
        sample(patched, "sd15")
    assert OVERRIDE not in patched.model_options["transformer_options"]
    assert torch.equal(sample(model, "sd15"), plain)


def test_another_nodes_attention_goes_first_and_stays() -> None:
    asked: list[str] = []

    def others(attend: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        asked.append(attend.__name__)
        return attend(*args, **kwargs)

    model = toys.load("sd15").clone()
    model.model_options["transformer_options"][OVERRIDE] = others
    patched = torch_settings.apply(model, AttentionBackend("math"))
    sample(patched, "sd15")
    told = torch_settings.told_by(patched)
    assert len(asked) == sum(map(calls_in, told[:-1])) > 0
    assert set(asked) == {host_attention.optimized_attention.__name__}, "as the host calls it"
    assert told[-1].endswith("another node takes attention over first; the rest is ours")
    assert patched.model_options["transformer_options"][OVERRIDE] is others


def test_attention_that_was_chosen_at_the_start_of_comfyui_stays() -> None:
    q = torch.rand(2, 8, 32)

    def attention_sage(*args: Any, **kwargs: Any) -> str:
        return "sage"

    watch = _Attending(AttentionBackend("math"), None)
    assert watch.attend(attention_sage, q, q, q, 4) == "sage"
    assert watch.lines() == ["Attention Backend (math): sage attention stayed, 1 calls"]


def test_a_shape_that_the_backend_cannot_do_is_computed_by_another_one() -> None:
    q, v = torch.rand(2, 4, 8, 16), torch.rand(2, 4, 8, 24)
    watch = _Attending(AttentionBackend("flash"), None)
    options = {"skip_reshape": True, "skip_output_reshape": True}
    for _ in range(2):
        output = watch.attend(host_attention.attention_pytorch, q, q, v, 4, **options)
        assert output.shape == v.shape
    (line,) = watch.lines()
    assert line.endswith("math, because flash cannot do it, 2 calls")


MASKS = {
    "none": None,
    "of all": torch.rand(8, 6).log(),
    "of rows": torch.rand(2, 8, 6).log(),
    "of heads": torch.rand(2, 4, 8, 6).log(),
    "boolean": torch.rand(8, 6) > 0.3,
}


@pytest.mark.parametrize("has_heads", [False, True])
@pytest.mark.parametrize("gives_heads", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_it_is_the_hosts_question(mask: str, has_heads: bool, gives_heads: bool) -> None:
    shapes = ((2, 4, 8, 16), (2, 4, 6, 16)) if has_heads else ((2, 8, 64), (2, 6, 64))
    q, k = (torch.rand(shape) for shape in shapes)
    options = {"skip_reshape": has_heads, "skip_output_reshape": gives_heads}
    for more in ({}, {"scale": 0.3}):
        expected = host_attention.attention_pytorch(q, k, k, 4, MASKS[mask], **options, **more)
        assert torch.equal(_attention(q, k, k, 4, MASKS[mask], **options, **more), expected)


@pytest.mark.parametrize("name", ["sd15", "flux", "wan"])
@pytest.mark.parametrize("is_first", [True, False])
def test_caches_keep_their_laws(name: str, is_first: bool) -> None:
    """Joint attention is reached through the same override."""
    setting, plain_method = AttentionBackend("flash"), PAB(1, 1, 1, WHOLE)

    def with_both(method: PAB) -> Any:
        model = toys.load(name)
        if is_first:
            return attach(torch_settings.apply(model, setting), method)
        return torch_settings.apply(attach(model, method), setting)

    alone = torch_settings.apply(toys.load(name), setting)
    assert torch.equal(sample(with_both(plain_method), name), sample(alone, name))
    cached = with_both(PAB(2, 1, 2, WHOLE))
    sample(cached, name)
    report, told = last_report(cached), torch_settings.told_by(cached)
    assert report.total_reused > 0
    whole = sum(map(calls_in, torch_settings.told_by(alone)))
    assert 0 < sum(map(calls_in, told)) < whole, "what is reused is not attended to"


def test_an_interrupt_leaves_nothing() -> None:
    patched = torch_settings.apply(toys.load("sd15"), AttentionBackend("flash"))

    def stop(*_: Any) -> None:
        raise InterruptProcessingException

    with pytest.raises(InterruptProcessingException):
        sample(patched, "sd15", callback=stop)
    assert OVERRIDE not in patched.model_options["transformer_options"]
    assert torch_settings.told_by(patched), "what ran until then"


def test_settings_do_not_change_the_model_before() -> None:
    model = toys.load("sd15")
    patched = torch_settings.apply(model, AttentionBackend("auto"))
    assert torch_settings.settings_of(model) == () and len(torch_settings.settings_of(patched)) == 1
    assert torch_settings.told_by(model) == torch_settings.told_by(patched) == ()


def test_two_of_them_are_refused_and_so_is_what_is_no_model() -> None:
    patched = torch_settings.apply(toys.load("sd15"), AttentionBackend("auto"))
    with pytest.raises(ConfigError, match="already carries a Attention Backend node"):
        torch_settings.apply(patched, AttentionBackend("math"))
    with pytest.raises(UnsupportedModelError, match="the input is a str"):
        torch_settings.apply("model", AttentionBackend("auto"))
    with pytest.raises(ConfigError, match=f"expected one of auto, {', '.join(BACKENDS)}"):
        AttentionBackend("fastest")
