"""Queries, keys and values by one product, in real models, beside caches, LoRAs and hooks."""

from __future__ import annotations

import re
from typing import Any

import observe
import pytest
import torch
import toys
from comfy.model_management import InterruptProcessingException
from stepcache import torch_settings
from stepcache.cache_core.errors import ConfigError, UnsupportedModelError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB
from stepcache.cache_core.schedules import PercentRange
from stepcache.torch_settings import fusing
from stepcache.torch_settings.fusing import FusedProjections, projections_of

STEPS = 3
ROUNDING = 2e-3
"""Of a few steps in float32: a wider product adds up in another order."""
WHOLE = PercentRange(0.0, 1.0)
NAMED_IN_EVERY_WAY = (
    "sd15", "sdxl", "svd", "wan_i2v", "auraflow", "hidream", "qwen", "boogu", "krea2",
    "kandinsky5", "ace_step", "cosmos_predict2", "ltxv", "ltxav", "cogvideox", "shapes_dit",
    "shapes_unet",
)  # fmt: skip


def sample(model: Any, name: str, **options: Any) -> torch.Tensor:
    return toys.sample(model, name, steps=STEPS, **{**dict(toys.TOYS[name].options), **options})


def fused(model: Any) -> Any:
    return torch_settings.apply(model, FusedProjections())


def counts(patched: Any) -> list[int]:
    """Layers with queries, keys and values, and with keys and values fused."""
    first = torch_settings.told_by(patched)[0]
    return [
        int((re.findall(rf"(?<!queries, ){what} of (\d+) layers", first) or [0])[0])
        for what in ("queries, keys and values", "keys and values")
    ]


@pytest.mark.parametrize("name", NAMED_IN_EVERY_WAY)
def test_the_picture_stays_and_the_model_is_untouched(name: str) -> None:
    model = toys.load(name)
    plain, marks = sample(model, name), observe.fingerprint(model)
    patched = fused(model)
    picture = sample(patched, name)
    assert (picture - plain).abs().max() <= ROUNDING * plain.abs().max()
    assert torch.equal(sample(patched, name), picture)
    assert sum(counts(patched)) > 0
    assert torch.equal(sample(model, name), plain)
    assert observe.fingerprint(model) == marks


def test_what_is_asked_about_one_tensor_is_one_product() -> None:
    """A UNet's self-attention asks for three, its attention to the prompt for keys and values."""
    model = toys.load("sd15")
    patched = fused(model)
    found = len(projections_of(model.model.diffusion_model))
    calls = {}
    for each in (model, patched):
        with torch.profiler.profile() as profile:
            sample(each, "sd15")
        calls[each] = sum(event.name == "aten::linear" for event in profile.events())
    assert counts(patched) == [found // 2, found // 2]
    # The first of three steps finds out what may be fused.
    assert calls[model] - calls[patched] == (STEPS - 1) * (found // 2 * 2 + found // 2)


def test_the_memory_that_is_told_is_that_of_the_copied_weights() -> None:
    model = toys.load("sd15")
    patched = fused(model)
    sample(patched, "sd15")
    linears = [each for each in projections_of(model.model.diffusion_model)]
    same = sum(
        layer.weight.nbytes
        for q, k, v in linears
        for layer in ((q, k, v) if k.in_features == q.in_features else (k, v))
    )
    assert f"{same / 2**20:.1f} MiB beside the weights" in torch_settings.told_by(patched)[0]


@pytest.mark.parametrize("name", ["sd15", "wan", "qwen"])
@pytest.mark.parametrize("is_first", [True, False])
def test_caches_keep_their_laws(name: str, is_first: bool) -> None:
    def with_both(method: PAB) -> Any:
        model = toys.load(name)
        return attach(fused(model), method) if is_first else fused(attach(model, method))

    alone = fused(toys.load(name))
    assert torch.equal(sample(with_both(PAB(1, 1, 1, WHOLE)), name), sample(alone, name))
    cached = with_both(PAB(2, 1, 2, WHOLE))
    picture = sample(cached, name)
    assert last_report(cached).total_reused > 0
    assert torch.equal(sample(cached, name), picture)


def test_the_weights_are_those_with_the_lora() -> None:
    model = toys.load("sd15")
    plain = sample(model, "sd15")
    key = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_v.weight"
    shape = model.model.state_dict()[key].shape
    change = torch.randn(shape, generator=torch.Generator().manual_seed(0)) / 4
    patched = model.clone()
    assert patched.add_patches({key: ("diff", (change,))})
    expected = sample(patched, "sd15")
    assert (expected - plain).abs().max() > 0.01 * plain.abs().max()
    found = sample(fused(patched), "sd15")
    assert (found - expected).abs().max() <= ROUNDING * expected.abs().max()
    assert torch.equal(sample(model, "sd15"), plain)


def test_what_another_node_answers_for_stays() -> None:
    model = toys.load("sd15")
    network = model.model.diffusion_model
    layer = projections_of(network)[0][1]
    patched = fused(model)
    compute = layer.forward
    layer.forward = lambda x: compute(x)
    try:
        sample(patched, "sd15")
    finally:
        del layer.forward
    assert "1 left as they are: another node answers for them" in torch_settings.told_by(patched)[1]


def test_too_little_memory_leaves_the_model_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toys.load("sd15")
    plain = sample(model, "sd15")
    monkeypatch.setattr(fusing, "SPARE", 10**12)
    patched = fused(model)
    assert torch.equal(sample(patched, "sd15"), plain)
    first, second = torch_settings.told_by(patched)
    assert first.endswith("nothing could be fused, the model ran as it is")
    assert second.endswith("left as they are: there is too little free memory")


def test_weights_that_are_converted_when_used_stay() -> None:
    model = toys.load("sd15").clone()
    model.set_model_compute_dtype(torch.bfloat16)
    plain = sample(model, "sd15")
    patched = fused(model)
    assert torch.equal(sample(patched, "sd15"), plain)
    assert "moved or converted whenever they are used" in torch_settings.told_by(patched)[1]


def test_an_interrupt_leaves_nothing() -> None:
    model = toys.load("sd15")
    sample(model, "sd15")
    marks, patched = observe.fingerprint(model), fused(model)
    with pytest.raises(InterruptProcessingException):
        sample(patched, "sd15", callback=observe.cancelling(1))
    assert observe.fingerprint(model) == marks
    assert torch_settings.told_by(patched)


@pytest.mark.parametrize("name", ["flux", "sd3", "hunyuan_video"])
def test_models_that_were_made_with_fused_projections_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedModelError, match="has no separate projections of queries"):
        fused(toys.load(name))


def test_a_compiled_model_is_refused() -> None:
    model = toys.load("sd15").clone()
    model.model_options["torch_compile_kwargs"] = {}
    with pytest.raises(ConfigError, match="Fused Projections: the model goes through TorchCompile"):
        fused(model)
