"""Caches of other packs, recognised by what they leave in a model's options."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cases
import observe
import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.errors import ConfigError, StepCacheError, UnsupportedModelError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB, DeepCache, FasterCache, SmoothCache, StepCache, TGate
from stepcache.cache_core.sites import SiteKind
from torch import nn

WHOLE = cases.WHOLE_RUN
LAYERS = PAB(2, 2, 2, WHOLE)
BRANCH = FasterCache(1, 1, 1, guidance_interval=2, guidance_window=WHOLE)
GATE = TGate(3, 0, 1, 1)
WHOLE_CALLS = StepCache(2.0)
IDLE = PAB(1, 1, 1, WHOLE)


def _with_key(name: str, value: Any = 0.1) -> Callable[[Any], Any]:
    def patch(model: Any) -> Any:
        clone = model.clone()
        clone.model_options["transformer_options"][name] = value
        return clone

    return patch


def _with_wrapper(function: Any) -> Callable[[Any], Any]:
    def patch(model: Any) -> Any:
        clone = model.clone()
        clone.set_model_unet_function_wrapper(function)
        return clone

    return patch


def _calls(model_function: Any, asked: dict[str, Any]) -> Any:
    return model_function(asked["input"], asked["timestep"], **asked["c"])


class ApplyFBCacheOnModel:
    """Puts one module in the place of a row of blocks, while the model runs."""

    def patch(self, model: Any) -> Any:
        network = model.model.diffusion_model

        class CachedTransformerBlocks(nn.Module):
            def __init__(self, blocks: nn.ModuleList) -> None:
                super().__init__()
                self.rows = blocks

            def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
                for block in self.rows:
                    x = block(x, *args, **kwargs)
                return x

        def model_unet_function_wrapper(model_function: Any, asked: dict[str, Any]) -> Any:
            own = network.blocks
            network.blocks = nn.ModuleList([CachedTransformerBlocks(own)])
            try:
                return _calls(model_function, asked)
            finally:
                network.blocks = own

        return _with_wrapper(model_unet_function_wrapper)(model)


class TGateProxy:
    """Asks for each row of the batch by itself, and tells the network another one."""

    def __call__(self, model_function: Any, asked: dict[str, Any]) -> Any:
        answers: list[torch.Tensor] = []
        rows = len(asked["cond_or_uncond"])
        for row, x in enumerate(asked["input"].chunk(rows)):
            options = {**asked["c"]["transformer_options"], "cond_or_uncond": [row]}
            text = asked["c"]["c_crossattn"].chunk(rows)[row]
            given = {**asked["c"], "transformer_options": options, "c_crossattn": text}
            answers.append(model_function(x, asked["timestep"].chunk(rows)[row], **given))
        return torch.cat(answers)


class DeepCacheNode:
    """Runs a UNet by a copy of the host's code."""

    def apply(self, model: Any) -> Any:
        sampling, network = model.model.model_sampling, model.model.diffusion_model

        def apply_model(_: Any, asked: dict[str, Any]) -> Any:
            x, sigma, c = asked["input"], asked["timestep"], asked["c"]
            given = sampling.calculate_input(sigma, x)
            options = c["transformer_options"]
            text = c["c_crossattn"]
            time = sampling.timestep(sigma).float()
            output = network(given, time, text, None, transformer_options=options)
            return sampling.calculate_denoised(sigma, output, x)

        # As its class is called there; here another one has the name.
        apply_model.__qualname__ = "DeepCache.apply.<locals>.apply_model"
        return _with_wrapper(apply_model)(model)


class SpectrumSDXL:
    def patch(self, model: Any) -> Any:
        def spectrum_unet_wrapper(model_function: Any, asked: dict[str, Any]) -> Any:
            return _calls(model_function, asked)

        return _with_wrapper(spectrum_unet_wrapper)(model)


NODES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "EasyCache": ("wan", _with_key("easycache", SimpleNamespace(name="EasyCache"))),
    "TeaCache": ("wan", _with_key("rel_l1_thresh")),
    "MagCache": ("wan", _with_key("magcache_thresh")),
    "CacheDiT": ("wan", _with_key("cache_dit_turbo")),
    "Spectrum": ("wan", _with_key("spectrum")),
    "Spectrum of SDXL": ("sd15", SpectrumSDXL().patch),
    "Apply First Block Cache": ("wan", ApplyFBCacheOnModel().patch),
    "TGate Apply": ("sd15", _with_wrapper(TGateProxy())),
    "TGate Apply, deprecated": ("sd15", _with_key("tgate_enable", True)),
    "Deep Cache": ("sd15", DeepCacheNode().apply),
}
GUIDES = ("EasyCache", "TeaCache", "MagCache", "CacheDiT", "Spectrum", "Spectrum of SDXL")
"""Those beside which layers may be reused, and no branch rebuilt."""


def _sample(model: Any, name: str) -> torch.Tensor:
    return toys.sample(
        model, name, latent=toys.TOYS[name].empty(size=12 if name == "sd15" else None)
    )


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("is_behind", [False, True], ids=["in front", "behind"])
def test_where_both_cannot_be_right_the_other_node_is_named(node: str, is_behind: bool) -> None:
    name, patch = NODES[node]
    methods = (BRANCH, WHOLE_CALLS) if node in GUIDES else (BRANCH, LAYERS, GATE, WHOLE_CALLS)
    for method in methods:
        model = toys.load(name)
        model = attach(patch(model), method) if is_behind else patch(attach(model, method))
        with pytest.raises(ConfigError) as refusal:
            _sample(model, name)
        words = str(refusal.value)
        assert words.startswith(f"{method.name}: the model also carries {node.split(',')[0][:8]}")
        assert "Remove" in words or "Take one" in words or "take one" in words
        assert observe.stored_bytes() == 0


@pytest.mark.parametrize("node", NODES)
def test_what_reuses_nothing_stands_beside_all_of_them(node: str) -> None:
    name, patch = NODES[node]
    if node == "EasyCache":
        pytest.skip("only its mark is here; with its node: contract/test_together.py")
    plain = _sample(patch(toys.load(name)), name)
    for idle in (IDLE, StepCache(1.0)):
        assert torch.equal(_sample(attach(patch(toys.load(name)), idle), name), plain)


@pytest.mark.parametrize("node", [node for node in GUIDES if node != "EasyCache"])
def test_layers_are_reused_beside_caches_of_whole_calls(node: str) -> None:
    name, patch = NODES[node]
    model = attach(patch(toys.load(name)), LAYERS)
    assert torch.equal(_sample(model, name), _sample(attach(toys.load(name), LAYERS), name))
    assert last_report(model).total_reused > 0


@pytest.mark.parametrize("node", ["MagCache", "CacheDiT", "Spectrum"])
def test_what_counts_calls_is_refused_beside_a_gate(node: str) -> None:
    name, patch = NODES[node]
    with pytest.raises(ConfigError, match=rf"^TGATE Gate: .*also carries {node}.*leaves one of"):
        _sample(attach(patch(toys.load(name)), GATE), name)


def test_a_wrapper_of_another_kind_is_nobodys_cache() -> None:
    model = attach(_with_wrapper(_calls)(toys.load("sd15")), GATE)
    _sample(model, "sd15")
    assert last_report(model).total_reused > 0


def test_blocks_that_are_exchanged_while_the_model_runs_are_told_as_what_they_are() -> None:
    """By a pack that nobody has heard of: the advice holds whether our node is behind or not."""
    patch = ApplyFBCacheOnModel().patch
    model = attach(patch(toys.load("wan")), LAYERS)
    model.model_options["model_function_wrapper"].__qualname__ = "Unheard.of"
    with pytest.raises(UnsupportedModelError) as refusal:
        _sample(model, "wan")
    words = str(refusal.value)
    assert "blocks.0 is a CachedTransformerBlocks of " in words
    assert "if it is behind already" in words and "one of the two has to be taken out" in words


REFUSED = {
    "a neighbour": lambda: attach(_with_key("tgate_enable")(toys.load("wan")), GATE),
    "no skip connections": lambda: attach(toys.load("wan"), DeepCache()),
    "two of one kind": lambda: attach(attach(toys.load("wan"), GATE), GATE),
    "a wrong number": lambda: TGate(-3),
    "another architecture": lambda: attach(
        toys.load("wan"), SmoothCache(((SiteKind.TEMPORAL_ATTENTION, None, (True, False)),))
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize(
    "caught", [ValueError, RuntimeError, TypeError, LookupError, AttributeError, OSError]
)
def test_a_refusal_is_none_of_the_errors_that_samplers_pass_over(
    case: str, caught: type[Exception]
) -> None:
    """Regional samplers catch those around each call, act on one that they know, and go on."""
    with pytest.raises(StepCacheError), contextlib.suppress(caught):
        _sample(REFUSED[case](), "wan")


def test_a_refusal_inside_of_a_call_reaches_the_person() -> None:
    def lose_blocks(executor: Any, *args: Any) -> Any:
        network = executor.class_obj.diffusion_model
        own, network.blocks = network.blocks, nn.ModuleList()
        try:
            return executor(*args)
        finally:
            network.blocks = own

    outside = toys.load("wan").clone()
    outside.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "loses", lose_blocks)
    with pytest.raises(
        UnsupportedModelError, match=r"^Step Cache: .*blocks is a ModuleList of torch"
    ):
        _sample(attach(outside, LAYERS), "wan")
