"""Linear layers in int8 in real models, beside caches, LoRAs, hooks and other settings."""

from __future__ import annotations

import gc
import itertools
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import host
import observe
import pytest
import torch
import toys
from comfy.model_management import InterruptProcessingException
from companions.loras import LORAS
from stepcache import speed
from stepcache.cache_core.errors import ConfigError, UnsupportedModelError
from stepcache.cache_core.methods import PAB
from stepcache.cache_core.patching import attach, last_report
from stepcache.cache_core.schedules import PercentRange
from stepcache.speed import int8, int8_layers
from stepcache.speed.int8 import ANYWAY, STOP, DynamicInt8
from stepcache.speed.int8_kernel import Gain, Int8Weight, Kernel
from stepcache.speed.int8_layers import linears_of
from torch import nn

kitchen = host.module("comfy_kitchen", "comfy-kitchen")
if not hasattr(kitchen, "int8_linear"):
    pytest.skip("this ComfyUI's comfy-kitchen has no int8", allow_module_level=True)

STEPS = 3
NARROW = 16
"""Toys are narrow: all of their layers, then."""
NEAR = 0.1
"""Of a few steps through random weights, which carry on what rounding to 1/254 of each row does;
0.03 was the most that was seen. In krea2's toy, which multiplies gates by gates, 0.01 of a layer
becomes 0.25 of the picture: it is not asked."""
WHOLE = PercentRange(0.0, 1.0)
OF_EVERY_SORT = (
    "sd15", "sdxl", "wan", "qwen", "flux", "sd3", "hunyuan_video", "hidream", "pixart_sigma",
    "cogvideox", "ltxv", "auraflow", "cosmos_predict2", "cascade_c", "seedvr2", "lumina2",
    "shapes_dit", "shapes_unet",
)  # fmt: skip


def sample(model: Any, name: str, **options: Any) -> torch.Tensor:
    return toys.sample(model, name, steps=STEPS, **{**dict(toys.TOYS[name].options), **options})


def in_int8(model: Any, least_width: int = NARROW) -> Any:
    return speed.apply(model, DynamicInt8(least_width, ANYWAY))


def count(patched: Any) -> int:
    """Layers that were computed in int8 in the last run."""
    (number,) = re.findall(r"^Dynamic Int8: (\d+) linear layers in int8", told(patched))
    return int(number)


def told(patched: Any) -> str:
    return "\n".join(speed.told_by(patched))


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


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
        DynamicInt8(NARROW, ANYWAY), speed.AttentionBackend("math"), speed.FusedProjections(),
    )  # fmt: skip
    pictures = []
    for order in itertools.permutations(settings):
        patched = model
        for setting in (*order[:2], speed.Precision("TF32"), *order[2:]):
            patched = speed.apply(patched, setting)
        pictures.append(sample(patched, "wan"))
        assert "left as they are: Fused Projections multiplies by them" in told(patched)
        assert "queries, keys and values of 3 layers" in told(patched)
        assert count_in(told(patched)) > 0
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)


def count_in(text: str) -> int:
    return sum(int(n) for n in re.findall(r"Dynamic Int8: (\d+) linear layers in int8", text))


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


def count_of(patched: Any, name: str) -> int:
    sample(patched, name)
    return count(patched)


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
            with int8_layers.Swap() as swap:
                ours.swap(swap)
                assert apart(layer(x), nn.functional.linear(x, layer.weight, layer.bias)) < 0.05
                assert ours.weight is not None


def test_layers_that_steer_all_tokens_stay_exact() -> None:
    """They are asked about one row for each picture, as nothing in attention is."""
    for name in (
        "flux",
        "sd3",
        "qwen",
        "cogvideox",
        "cosmos_predict2",
        "mochi",
        "lumina2",
        "boogu",
    ):
        model = toys.load(name)
        network = model.model.diffusion_model
        linears = {p: m for p, m in network.named_modules() if isinstance(m, nn.Linear)}
        rows: dict[str, int] = {}

        def hear(path: str, compute: Any, args: Any, kwargs: Any, rows: Any = rows) -> Any:
            rows[path] = max(rows.get(path, 0), args[0].shape[:-1].numel())
            return compute(*args, **kwargs)

        with observe.overheard(network, linears, hear):
            sample(model, name)
        chosen = linears_of(network)
        assert chosen.keys() < linears.keys()
        assert min(rows[path] for path in chosen) > 2, name


def test_what_another_node_answers_for_stays() -> None:
    model = toys.load("sd15")
    layer = model.model.diffusion_model.input_blocks[1][1].transformer_blocks[0].attn1.to_q
    patched = in_int8(model)
    everywhere = count_of(patched, "sd15")
    compute = layer.forward
    layer.forward = lambda x: compute(x)
    try:
        sample(patched, "sd15")
    finally:
        # As some nodes leave it behind: the layer answers for itself.
        layer.forward = compute
    assert "Dynamic Int8: 1 left as they are: another node answers for them" in told(patched)
    assert count(patched) == everywhere - 1
    try:
        assert count_of(patched, "sd15") == everywhere
    finally:
        del layer.forward


def test_a_layer_that_multiplies_in_a_way_of_its_own_stays() -> None:
    class Doubling(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    model = toys.load("wan")
    attention = model.model.diffusion_model.blocks[0].self_attn
    own = attention.o
    attention.o = Doubling(own.in_features, own.out_features)
    attention.o.load_state_dict(own.state_dict())
    try:
        plain, patched = sample(model, "wan"), in_int8(model)
        assert apart(sample(patched, "wan"), plain) <= NEAR
    finally:
        attention.o = own
    assert "Dynamic Int8: 1 left as they are: they multiply in a way of their own" in told(patched)


def test_what_another_node_compiled_stays() -> None:
    """Marked as PyTorch's two ways of compiling a module mark it; compiling itself takes long."""
    model = toys.load("wan")
    first, second = model.model.diffusion_model.blocks[:2]
    patched = in_int8(model)
    everywhere = count_of(patched, "wan")
    first._compiled_call_impl = first._call_impl
    second.ffn.__dict__["_orig_mod"] = second.ffn[0]
    try:
        sample(patched, "wan")
    finally:
        first._compiled_call_impl = None
        del second.ffn.__dict__["_orig_mod"]
    inside = sum(isinstance(m, nn.Linear) for m in (*first.modules(), *second.ffn.modules()))
    assert f"Dynamic Int8: {inside} left as they are: another node compiled them" in told(patched)
    assert 0 < count(patched) < everywhere


def test_a_network_that_another_node_compiled_runs_as_it_is() -> None:
    class Compiled(nn.Module):
        """What `torch.compile` makes of a network has its attributes, and keeps it under a name."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self._orig_mod = network

        def __getattr__(self, name: str) -> Any:
            own = self.__dict__["_modules"]
            return own[name] if name in own else getattr(own["_orig_mod"], name)

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self._orig_mod(*args, **kwargs)

    model = toys.load("wan").clone()
    plain = sample(model, "wan")
    model.add_object_patch("diffusion_model", Compiled(model.model.diffusion_model))
    patched = in_int8(model)
    assert torch.equal(sample(patched, "wan"), plain)
    assert "nothing could be computed in int8, the model ran as it is" in told(patched)
    assert "left as they are: another node compiled them" in told(patched)
    assert torch.equal(sample(toys.load("wan"), "wan"), plain), "the host takes the patch off"


def test_too_little_memory_leaves_the_model_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toys.load("wan")
    plain = sample(model, "wan")
    monkeypatch.setattr(int8, "SPARE", 10**12)
    patched = in_int8(model)
    assert torch.equal(sample(patched, "wan"), plain)
    assert "nothing could be computed in int8, the model ran as it is" in told(patched)
    assert "left as they are: there is too little free memory" in told(patched)


def test_an_interrupt_leaves_nothing() -> None:
    model = toys.load("wan")
    plain, patched = sample(model, "wan"), in_int8(model)
    picture, marks = sample(patched, "wan"), observe.fingerprint(model)

    def stop(step: int, *_: Any) -> None:
        if step == 1:
            raise InterruptProcessingException

    with pytest.raises(InterruptProcessingException):
        sample(patched, "wan", callback=stop)
    assert observe.fingerprint(model) == marks
    assert torch.equal(sample(model, "wan"), plain)
    assert torch.equal(sample(patched, "wan"), picture)


def test_the_weights_in_int8_are_dropped_with_the_run() -> None:
    patched = in_int8(toys.load("wan"))
    sample(patched, "wan")
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is Int8Weight]


def test_no_gain_is_refused_before_sampling_with_the_ratio() -> None:
    """The toy's products are so small that handing them to int8 takes longer than they do."""
    model = toys.load("wan")
    asked: list[int] = []
    patched = speed.apply(model, DynamicInt8(NARROW, STOP))
    words = (
        r"^Dynamic Int8: nothing is gained here: int8 was 0\.\d\d × as fast as float32 in a "
        r"product of 256 rows, 48 x 64, on cpu \(comfy-kitchen [\d.]+, eager\); expected was more "
        r"than 1.00. Take this node out, or set without_gain to 'int8 all the same'"
    )
    with pytest.raises(ConfigError, match=words):
        sample(patched, "wan", callback=lambda step, *_: asked.append(step))
    assert not asked
    assert not patched.model_options["transformer_options"]["stepcache_speed"].all[0].gains


def test_what_was_measured_holds_for_all_runs_of_the_clone() -> None:
    model = toys.load("wan")
    setting = DynamicInt8(NARROW, STOP)
    patched = speed.apply(model, setting)
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
