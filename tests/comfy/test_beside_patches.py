"""Patches that need to see layers compute, and modules that are injected for sampling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cases
import comfy.ldm.modules.attention as attention
import comfy.ldm.modules.diffusionmodules.openaimodel as unet_model
import comfy.samplers
import host
import observe
import pytest
import runtime_sampling
import torch
import toys
from comfy.patcher_extension import PatcherInjection
from comfy.samplers import CFGGuider
from stepcache.cache_core.decisions import NOT_SETTLED
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.installation import installation_of
from stepcache.cache_core.host.intercept.layer_call import FOLLOWED
from stepcache.cache_core.methods import PAB, FasterCache, SmoothCache, TGate
from stepcache.cache_core.sites import SiteKind
from torch import nn

WHOLE = cases.WHOLE_RUN


class SkipGuider(CFGGuider):
    """Skip guidance of a model's makers: while a third pass goes through a block, the first
    attention called in it returns its values. Layers are told apart by their order."""

    is_on = False

    def around(self, args: Any, extra: Any) -> Any:
        if not self.is_on:
            return extra["original_block"](args)
        count = 0
        own = attention.optimized_attention, attention.optimized_attention_masked

        def skipping(function: Any) -> Any:
            def attend(q: Any, k: Any, v: Any, heads: int, *args: Any, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                return v if count == 1 else function(q, k, v, heads, *args, **kwargs)

            return attend

        attention.optimized_attention, attention.optimized_attention_masked = map(skipping, own)
        try:
            return extra["original_block"](args)
        finally:
            attention.optimized_attention, attention.optimized_attention_masked = own

    def predict_noise(
        self, x: torch.Tensor, timestep: Any, model_options: dict[str, Any], seed: Any = None
    ) -> torch.Tensor:
        def ask(name: str) -> torch.Tensor:
            conds = [self.conds[name]]
            model = self.inner_model
            return comfy.samplers.calc_cond_batch(model, conds, x, timestep, model_options)[0]

        positive, negative = ask("positive"), ask("negative")
        self.is_on = True
        try:
            skipped = ask("positive")
        finally:
            self.is_on = False
        return negative + 3.0 * (positive - negative) + (positive - skipped)


def _skipping(model: Any, method: Any = None) -> tuple[torch.Tensor, Any]:
    guider = SkipGuider(model)
    clone = model.clone()
    clone.set_model_patch_replace(guider.around, "dit", "double_block", 1)
    clone = clone if method is None else attach(clone, method)
    guider.__init__(clone)
    guider.set_conds(*toys.conditioning("ltxv"))
    return runtime_sampling.guided(guider, clone, "ltxv"), clone


@pytest.mark.parametrize(
    "method",
    [FasterCache(2, 2, 2, WHOLE, guidance_interval=1), TGate(2, 0, 2, 2), PAB(2, 3, 3, WHOLE)],
    ids=lambda method: method.name,
)
def test_layers_under_another_nodes_block_patch_all_compute(method: Any) -> None:
    picture, model = _skipping(toys.load("ltxv"), method)
    assert torch.isfinite(picture).all()
    report = last_report(model)
    assert report.total_reused > 0, "other blocks reuse"
    assert any(reason == FOLLOWED for _, reason in report.forced)


def test_with_nothing_reused_they_are_bit_identical() -> None:
    plain, _ = _skipping(toys.load("ltxv"))
    assert torch.equal(_skipping(toys.load("ltxv"), PAB(1, 1, 1, WHOLE))[0], plain)


@pytest.mark.parametrize("name", ["flux", "sd3"])
def test_attention_that_is_alone_in_its_block_reuses_under_a_patch(name: str) -> None:
    def around(args: Any, extra: Any) -> Any:
        return extra["original_block"](args)

    model = toys.load(name).clone()
    for row in ("double_block", "single_block"):
        model.set_model_patch_replace(around, "dit", row, 0)
    patched = attach(model, PAB(2, 1, 1, WHOLE))
    toys.sample(patched, name)
    assert last_report(patched).strip_of(SiteKind.JOINT_ATTENTION) == "CRCRCR"
    assert not last_report(patched).forced


@pytest.mark.parametrize("steps", [6])
def test_guidance_ends_only_if_all_that_was_to_be_frozen_is_answered_for(steps: int) -> None:
    """A pair of patches around attention to the prompt, as regional prompts use."""

    def paired(model: Any) -> Any:
        clone = model.clone()
        clone.set_model_attn2_patch(lambda q, k, v, options: (q, k, v))
        clone.set_model_attn2_output_patch(lambda out, options: out)
        return clone

    pictures: list[torch.Tensor] = []
    for kept in ("uncond", "cond"):
        model = attach(paired(toys.load("sd15")), TGate(3, 0, 1, 1, kept))
        pictures.append(toys.sample(model, "sd15", steps=steps, latent=_latent()))
        report = last_report(model)
        assert report.strip_of(SiteKind.CROSS_ATTENTION) == "C" * steps
        assert report.strip_of(SiteKind.GUIDANCE) == "C" * steps
        assert NOT_SETTLED in report.nothing_reused_because
    assert torch.equal(*pictures)
    assert torch.equal(
        pictures[0], toys.sample(toys.load("sd15"), "sd15", steps=steps, latent=_latent())
    )


def _latent() -> torch.Tensor:
    return toys.TOYS["sd15"].empty(size=12)


class Motion(nn.Module):
    """What video packs put between the layers of a picture model."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.Module()
        block.ff = nn.Linear(4, 4)
        self.transformer_blocks = nn.ModuleList([block])


@contextmanager
def _passing_motion_by() -> Iterator[None]:
    embed = unet_model.forward_timestep_embed

    def embedded(layers: Any, *args: Any, **kwargs: Any) -> Any:
        return embed([x for x in layers if not isinstance(x, Motion)], *args, **kwargs)

    unet_model.forward_timestep_embed = embedded
    try:
        yield
    finally:
        unet_model.forward_timestep_embed = embed


def _animated(model: Any, at: int) -> Any:
    """A model into which a node injects modules, at the end of a block or before its layers."""
    clone = model.clone()

    def block(patcher: Any) -> nn.Sequential:
        return patcher.model.diffusion_model.input_blocks[1]

    def inject(patcher: Any) -> None:
        layers = block(patcher)
        layers.insert(at if at >= 0 else len(layers), Motion())

    def eject(patcher: Any) -> None:
        layers = block(patcher)
        for place in reversed(range(len(layers))):
            if isinstance(layers[place], Motion):
                del layers[place]

    clone.set_injections("motion", [PatcherInjection(inject=inject, eject=eject)])
    return clone


@pytest.mark.parametrize("at", [-1, 0], ids=["behind", "in front"])
def test_what_is_found_does_not_depend_on_what_was_sampled_before(at: int) -> None:
    host.skip_if_older("0.18.0", "what is injected stays in the network")
    rows = tuple(
        (kind, None, (True, False) * 3) for kind in (SiteKind.SELF_ATTENTION, SiteKind.FEED_FORWARD)
    )
    model = toys.TOYS["sd15"].make()
    known = set(installation_of(attach(model, SmoothCache(rows))).assigned)
    toys.sample(model, "sd15", steps=1, latent=_latent())
    marks = observe.fingerprint(model)
    with _passing_motion_by():
        kept = _animated(model, at)
        toys.sample(kept, "sd15", latent=_latent())
        assert observe.fingerprint(model) != marks, "the host leaves it in the network"
        ours = attach(model, SmoothCache(rows))
        assert set(installation_of(ours).assigned) == known
        assert observe.fingerprint(model) != marks, "and so do we"
        first = toys.sample(ours, "sd15", latent=_latent())
        assert torch.equal(toys.sample(ours, "sd15", latent=_latent()), first)
    assert observe.fingerprint(model) == marks
