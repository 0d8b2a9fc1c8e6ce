"""PyTorch's settings for multiplying: in force in a run, and as before after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import observe
import pytest
import torch
import toys
from comfy.model_management import InterruptProcessingException
from comfy.patcher_extension import WrappersMP
from stepcache import torch_settings
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB
from stepcache.nodes.precision import PrecisionNode
from stepcache.nodes.step_cache_report import StepCacheReport
from stepcache.torch_settings.precision import PRODUCTS, SUMS, Precision


def state() -> tuple[Any, ...]:
    cuda = torch.backends.cuda.matmul
    return (
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.allow_tf32,
        cuda.allow_fp16_reduced_precision_reduction,
        cuda.allow_bf16_reduced_precision_reduction,
    )


@pytest.fixture(autouse=True)
def before() -> Iterator[tuple[Any, ...]]:
    """What somebody had set, not PyTorch's default; it is so again afterwards."""
    found = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield state()
    torch.set_float32_matmul_precision(found)


def overheard(model: Any, fails: type[BaseException] | None = None) -> tuple[Any, list[Any]]:
    """A clone that writes down PyTorch's settings when the network is called."""
    clone, found = model.clone(), list[Any]()

    def hear(executor: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        found.append(state())
        if fails is not None and len(found) == 2:
            raise fails
        return executor(*args, **kwargs)

    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "overheard", hear)
    return clone, found


@pytest.mark.parametrize(
    ("products", "sums"),
    [
        ("as it is", "as it is"),
        ("float32 in full", "in full"),
        ("TF32", "reduced"),
        ("bfloat16", "as it is"),
        ("as it is", "reduced"),
    ],
)
def test_it_is_in_force_while_sampling_and_not_after(
    products: str, sums: str, before: tuple[Any, ...]
) -> None:
    model, found = overheard(toys.load("sd15"))
    toys.sample(torch_settings.apply(model, Precision(products, sums)), "sd15", steps=2)
    expected = list(before)
    if products in PRODUCTS:
        expected[:2] = PRODUCTS[products], products != "float32 in full"
    if sums in SUMS:
        expected[2:] = [SUMS[sums]] * 2
    assert set(found) == {tuple(expected)}
    assert state() == before


@pytest.mark.parametrize("fails", [InterruptProcessingException, RuntimeError])
def test_it_is_put_back_when_a_run_does_not_end(
    fails: type[BaseException], before: tuple[Any, ...]
) -> None:
    model, found = overheard(toys.load("sd15"), fails)
    with pytest.raises(fails):
        toys.sample(torch_settings.apply(model, Precision("bfloat16", "reduced")), "sd15", steps=4)
    assert len(found) == 2 and found[0] != before
    assert state() == before


def test_nothing_changed_is_bit_identical() -> None:
    model = toys.load("sd15")
    plain, marks = toys.sample(model, "sd15"), observe.fingerprint(model)
    patched = torch_settings.apply(model, Precision())
    assert torch.equal(toys.sample(patched, "sd15"), plain)
    assert observe.fingerprint(model) == marks


@pytest.mark.parametrize("name", ["sd15", "shapes_dit"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_really_multiplied_is_told(dtype: torch.dtype, name: str) -> None:
    model = toys.load(name).clone()
    model.set_model_compute_dtype(dtype)
    patched = torch_settings.apply(model, Precision())
    toys.sample(patched, name, steps=2)
    (line,) = torch_settings.told_by(patched)
    assert line.startswith("Precision (products as it is, sums as it is): of the first evaluation")
    shares = line.partition("products ")[2]
    assert str(dtype).removeprefix("torch.") in shares


def test_caches_beside_it_reuse() -> None:
    model = torch_settings.apply(toys.load("shapes_dit"), Precision("TF32"))
    patched = attach(
        torch_settings.apply(model, torch_settings.AttentionBackend("flash")), PAB(2, 1, 2)
    )
    toys.sample(patched, "shapes_dit", steps=8)
    assert last_report(patched).total_reused > 0
    told = torch_settings.told_by(patched)
    assert told[0].startswith("Precision") and told[1].startswith("Attention Backend")


def test_the_node_tells_what_the_model_is_made_of() -> None:
    model = toys.load("sd15")
    patched, text = PrecisionNode.execute(model, "TF32", "as it is").result
    assert torch_settings.settings_of(patched) == (Precision("TF32"),)
    size = sum(weight.nbytes for weight in model.model.diffusion_model.parameters()) / 2**20
    assert text == f"weights: 100 % float32 ({size:.0f} MiB); the host computes in float32 on cpu"


def test_half_precision_on_a_processor_is_advised_against() -> None:
    model = toys.load("sd15").clone()
    model.set_model_compute_dtype(torch.bfloat16)
    first, second = torch_settings.facts_on(model)
    assert "the host computes in" in first
    assert "start ComfyUI with --fp32-unet" in second


def test_what_is_not_in_the_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="no precision 'int3'; expected one of as it is, float32"):
        Precision("int3")
    with pytest.raises(ConfigError, match="expected one of as it is, reduced, in full"):
        Precision(sums="some")


def test_the_report_tells_of_them_with_and_without_caches() -> None:
    latent = {"samples": torch.zeros(1, 4, 8, 8)}
    model = torch_settings.apply(toys.load("shapes_dit"), Precision("TF32"))
    for patched in (model, attach(model, PAB(2, 1, 2))):
        toys.sample(patched, "shapes_dit", steps=8)
        same, text, data, drawn = StepCacheReport.execute(patched, latent).result
        told = list(torch_settings.told_by(patched))
        assert same is latent and drawn.shape[-1] == 3
        assert told[0] in text.splitlines()
        assert json.loads(data)["settings"] == told
    assert "reused" in text and json.loads(data)["version"]
