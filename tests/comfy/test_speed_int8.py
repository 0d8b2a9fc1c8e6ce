"""Linear layers in int8 in real models: pictures, numbers, beside caches and other settings."""

from __future__ import annotations

import itertools
from typing import Any

import observe
import pytest
import torch
import toys
from rounded import NARROW, NEAR, WHOLE, apart, count, count_in, in_int8, sample, told
from stepcache import torch_settings
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB
from stepcache.torch_settings.int8 import ANYWAY, DynamicInt8
from stepcache.torch_settings.int8_kernel import Kernel
from stepcache.torch_settings.int8_layers import linears_of

OF_EVERY_SORT = (
    "sd15", "sdxl", "wan", "qwen", "flux", "sd3", "hunyuan_video", "hidream", "pixart_sigma",
    "cogvideox", "ltxv", "auraflow", "cosmos_predict2", "cascade_c", "seedvr2", "lumina2",
    "shapes_dit", "shapes_unet",
)  # fmt: skip


@pytest.mark.parametrize("name", OF_EVERY_SORT)
def test_the_picture_stays_near_and_the_model_is_untouched(name: str) -> None:
    model = toys.load(name)
    plain, marks = sample(model, name), observe.fingerprint(model)
    patched = in_int8(model)
    picture = sample(patched, name)
    assert 0 < apart(picture, plain) <= NEAR
    assert count(patched) > 0
    assert torch.equal(sample(patched, name), picture)
    assert torch.equal(sample(model, name), plain)
    assert observe.fingerprint(model) == marks


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["shapes_dit", "sd15", "flux"])
def test_no_number_is_further_off_than_rounding_explains(name: str, dtype: torch.dtype) -> None:
    """What real layers were asked in a run, against float64."""
    model, kernel = toys.load(name), Kernel.load("test")
    layers = linears_of(model.model.diffusion_model)
    asked: dict[str, torch.Tensor] = {}

    def hear(path: str, compute: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        asked[path] = args[0].detach().clone()
        return compute(*args, **kwargs)

    with observe.overheard(model.model.diffusion_model, layers, hear):
        sample(model, name)
    assert asked.keys() == layers.keys()
    unit = torch.finfo(dtype).eps / 2
    for path, given in asked.items():
        x, weight = given.to(dtype), layers[path].weight.detach().to(dtype)
        bias = layers[path].bias
        bias = None if bias is None else bias.detach().to(dtype)
        quantized = kernel.quantized(weight)
        found = kernel.multiply(x, quantized, bias).double()
        assert found.shape == (*x.shape[:-1], weight.shape[0])
        a, b = x.double(), weight.double()
        exact = a @ b.T
        # A number is at most half a step off, and the library divides tokens by a scale in their
        # own numbers: two more roundings of up to 127 steps.
        step_x = a.abs().amax(-1, keepdim=True) / 127 * (0.5 + 127 * 2 * unit)
        step_w = b.abs().amax(-1) / 127 * (0.5 + 127 * 2**-23)
        bound = (
            a.abs().sum(-1, keepdim=True) * step_w
            + step_x * b.abs().sum(-1)
            + a.shape[-1] * step_x * step_w
        )
        if bias is not None:
            exact = exact + bias.double()
            bound = bound + bias.double().abs() * unit
        # Sums are rounded to float32, then to the numbers of the answer, and once more with bias.
        bound = bound + (exact.abs() + bound) * (2 * unit + 2**-22)
        assert ((found - exact).abs() <= bound).all(), path


def test_every_row_has_a_scale_of_its_own() -> None:
    """Rows and tokens of very different size keep their digits."""
    kernel = Kernel.load("test")
    sizes = 10.0 ** torch.arange(-4, 4)
    rows = torch.linspace(-1, 1, 64).repeat(8, 1) * sizes.unsqueeze(1)
    quantized = kernel.quantized(rows)
    assert quantized.numbers.dtype is torch.int8
    assert torch.allclose(quantized.scales.flatten(), sizes / 127)
    assert quantized.nbytes == 8 * 64 + 8 * 4
    found = kernel.multiply(rows, quantized, None)
    # 64 even numbers: the roundings of a row nearly cancel out.
    assert torch.allclose(found, rows @ rows.T, rtol=0.01, atol=0)


@pytest.mark.parametrize("name", ["sdxl", "wan", "qwen", "flux", "sd3"])
@pytest.mark.parametrize("is_first", [True, False])
def test_caches_keep_their_laws(name: str, is_first: bool) -> None:
    def with_both(method: PAB) -> Any:
        model = toys.load(name)
        return attach(in_int8(model), method) if is_first else in_int8(attach(model, method))

    alone = sample(in_int8(toys.load(name)), name)
    assert torch.equal(sample(with_both(PAB(1, 1, 1, WHOLE)), name), alone)
    cached = with_both(PAB(2, 1, 2, WHOLE))
    picture = sample(cached, name)
    assert last_report(cached).total_reused > 0
    assert count(cached) > 0
    assert torch.equal(sample(cached, name), picture)


def test_settings_give_one_picture_in_any_order() -> None:
    model = toys.load("wan")
    settings = (
        DynamicInt8(NARROW, ANYWAY),
        torch_settings.AttentionBackend("math"),
        torch_settings.FusedProjections(),
    )
    pictures = []
    for order in itertools.permutations(settings):
        patched = model
        for setting in (*order[:2], torch_settings.Precision("TF32"), *order[2:]):
            patched = torch_settings.apply(patched, setting)
        pictures.append(sample(patched, "wan"))
        assert "left as they are: Fused Projections multiplies by them" in told(patched)
        assert "queries, keys and values of 3 layers" in told(patched)
        assert count_in(told(patched)) > 0
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)
