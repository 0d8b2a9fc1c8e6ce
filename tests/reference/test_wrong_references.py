"""Where a reference is wrong: what it does, and that ours does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import authors
import pipelines
import pytest
import tgate
import tiny
import torch
from diffusers import HeunDiscreteScheduler
from diffusers_fastercache import DiffusersFasterCache
from diffusers_host import COND, UNCOND, DiffusersHost
from parity import MIN_EFFECT, greatest_difference
from stepcache.cache_core.approximators import Constant
from stepcache.cache_core.methods import PAB, DeepCache, SmoothCache, TGate
from stepcache.cache_core.schedules import TimestepRange

WHOLE = (-1, 1001)
Latents = list[torch.Tensor]


def _equal(some: Latents, others: Latents) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def test_pab_of_diffusers_runs_temporal_layers_at_the_spatial_range() -> None:
    """Its identifier "blocks" also finds ``temporal_transformer_blocks``, and is asked first."""
    timesteps = tiny.ddim_timesteps(20)
    config: dict[str, Any] = {
        "spatial_attention_block_skip_range": 2, "temporal_attention_block_skip_range": 3,
        **dict.fromkeys(authors.PAB_WINDOWS, (100, 800)),
    }  # fmt: skip
    by_default = tiny.sample(tiny.LATTE, authors.pab(tiny.LATTE.make(), **config), timesteps)
    config["spatial_attention_block_identifiers"] = authors.NOT_TEMPORAL
    as_asked = tiny.sample(tiny.LATTE, authors.pab(tiny.LATTE.make(), **config), timesteps)
    window = TimestepRange(100, 800)
    assert _equal(by_default, tiny.cached(tiny.LATTE, timesteps, PAB(2, 2, 1, window)))
    assert _equal(as_asked, tiny.cached(tiny.LATTE, timesteps, PAB(2, 3, 1, window)))
    assert greatest_difference(by_default, as_asked) > MIN_EFFECT


def test_pab_of_diffusers_answers_one_branch_with_the_others_attention() -> None:
    """Its state is not per branch, and pipelines such as Wan's call the model once for each."""
    timesteps = tiny.ddim_timesteps(6)
    texts = dict(zip((COND, UNCOND), tiny.WAN.text().chunk(2), strict=True))
    config: dict[str, Any] = {
        "spatial_attention_block_skip_range": 2, "spatial_attention_timestep_skip_range": WHOLE
    }  # fmt: skip

    def alternate(ask: Callable[..., torch.Tensor]) -> dict[Any, Latents]:
        x = tiny.WAN.noise()
        answers: dict[Any, Latents] = {COND: [], UNCOND: []}
        for t in timesteps:
            for stream, text in texts.items():
                answers[stream].append(ask(stream, t, **tiny.WAN.inputs(x, t, text)))
            x = x - 0.3 * answers[COND][-1]
        return answers

    with DiffusersHost(
        tiny.shared(tiny.WAN), [PAB(2, 1, 1, TimestepRange(*WHOLE))], timesteps, tiny.WAN.layers
    ) as host:

        def ask_ours(stream: Any, t: float, **inputs: Any) -> torch.Tensor:
            if stream is COND:
                host.session.start_evaluation(t)
            return host.call([stream], **inputs)

        ours = alternate(ask_ours)
    own = {stream: authors.pab(tiny.WAN.make(), **config) for stream in texts}
    right = alternate(lambda stream, t, **inputs: own[stream](t, **inputs))
    common = authors.pab(tiny.WAN.make(), **config)
    wrong = alternate(lambda stream, t, **inputs: common(t, **inputs))
    for stream in texts:
        assert _equal(ours[stream], right[stream])
    assert greatest_difference(wrong[UNCOND], right[UNCOND]) > MIN_EFFECT


def test_fastercache_of_diffusers_fails_on_one_branch_per_call() -> None:
    text, x = tiny.WAN.text(1), tiny.WAN.noise()
    reference = authors.fastercache(
        tiny.WAN.make(), Constant(), (500, 499),
        tensor_format=tiny.WAN.picture, unconditional_batch_timestep_skip_range=WHOLE,
    )  # fmt: skip
    with pytest.raises(IndexError):
        for t in (500, 499):
            reference(t, **tiny.WAN.inputs(x, t, text))
    ours = DiffusersFasterCache(guidance_window=TimestepRange(*WHOLE))
    with DiffusersHost(
        tiny.shared(tiny.WAN), [ours], (500, 499), tiny.WAN.layers, branches=[COND]
    ) as host:
        for t in (500, 499):
            assert host(t, **tiny.WAN.inputs(x, t, text)).shape == x.shape


def test_fastercache_of_diffusers_fails_where_a_distilled_run_begins_inside_the_window() -> None:
    text, x, t = tiny.WAN.text(1), tiny.WAN.noise(), 500
    reference = authors.fastercache(
        tiny.WAN.make(), Constant(), (t,),
        is_guidance_distilled=True, spatial_attention_timestep_skip_range=WHOLE,
    )  # fmt: skip
    with pytest.raises(TypeError):
        reference(t, **tiny.WAN.inputs(x, t, text))
    ours = DiffusersFasterCache(attention_window=TimestepRange(*WHOLE))
    with DiffusersHost(
        tiny.shared(tiny.WAN), [ours], (t,), tiny.WAN.layers, branches=[COND]
    ) as host:
        answer = host(t, **tiny.WAN.inputs(x, t, text))
    assert torch.equal(answer, tiny.plain(tiny.shared(tiny.WAN))(t, **tiny.WAN.inputs(x, t, text)))


def test_the_smoothcache_helper_caches_only_the_first_picture() -> None:
    """It counts calls and never starts again: past the schedule's end everything is computed."""
    timesteps = tiny.ddim_timesteps(6)
    row = "101001"
    reference = authors.smoothcache(tiny.DIT.make(), {"attn1": row})
    first, second = (tiny.sample(tiny.DIT, reference, timesteps) for _ in range(2))
    ours = SmoothCache(((tiny.SELF, None, tuple(flag == "1" for flag in row)),))
    own = [tiny.cached(tiny.DIT, timesteps, ours) for _ in range(2)]
    uncached = tiny.uncached(tiny.DIT, timesteps)
    assert _equal(second, uncached) and not _equal(first, uncached)
    assert _equal(own[0], first) and _equal(own[1], first)


def test_the_deepcache_helper_begins_a_shorter_run_with_the_last_pictures_features() -> None:
    """Where counting begins is kept from the first run: image-to-image starts at another index."""
    whole = tiny.ddim_timesteps(8)
    part = whole[4:]  # 4 is no multiple of the interval
    reference, _ = authors.deepcache(tiny.SD.make(), whole, 3, 0)
    tiny.sample(tiny.SD, reference, whole)
    stale = tiny.sample(tiny.SD, reference, part)
    fresh = tiny.sample(tiny.SD, authors.deepcache(tiny.SD.make(), whole, 3, 0)[0], part)
    tiny.cached(tiny.SD, whole, DeepCache(3, 0))
    ours = tiny.cached(tiny.SD, part, DeepCache(3, 0))
    assert (stale[0] - fresh[0]).abs().max() > MIN_EFFECT
    assert _equal(ours, fresh)
    assert torch.equal(ours[0], tiny.uncached(tiny.SD, part)[0])


def test_the_deepcache_helper_takes_the_second_evaluation_of_a_step_for_the_first_index() -> None:
    """Every third of Heun's evaluations becomes the first, fourth and fifth of these seven."""
    sampler = HeunDiscreteScheduler.from_config(pipelines.scheduler().config)
    sampler.set_timesteps(4)
    visited = sampler.timesteps.tolist()
    _, helper = authors.deepcache(tiny.SD.make(), visited, 3, 0)
    full: list[int] = []
    for evaluation, t in enumerate(visited):
        helper.cur_timestep = visited.index(t)
        if not helper.is_skip_step(1, 0):
            full.append(evaluation)
    helper.disable()
    assert full == [0, 3, 4], "one of two evaluations at 1 in 3, and both of the next"
    steps = pipelines.timesteps(4, sampler)
    with DiffusersHost(tiny.shared(tiny.SD), [DeepCache(3, 0)], steps, tiny.SD.layers) as host:
        pipelines.denoise(tiny.SD, host, 4, sampler=sampler)
    assert host.report.strip_of("deep_branch") == host.report.plans["deep_branch"] == "CRRC"
    assert not host.report.forced


def test_tgate_leaves_the_model_patched() -> None:
    pipe = tgate.TgateSDLoader(pipelines.pipeline(tiny.SD))
    uncached = pipelines.run(pipe, tiny.SD, 4)
    pipelines.run(pipe.tgate, tiny.SD, 4, gate_step=2, warm_up=0, sp_interval=1)
    assert any("forward" in module.__dict__ for module in pipelines.network(pipe).modules())
    assert greatest_difference(pipelines.run(pipe, tiny.SD, 4), uncached) > MIN_EFFECT
    model, timesteps = tiny.shared(tiny.SD), pipelines.timesteps(4)
    with DiffusersHost(model, [TGate(2, 0, 1, 1)], timesteps, tiny.SD.layers) as host:
        pipelines.denoise(tiny.SD, host, 4)
    assert not any("forward" in module.__dict__ for module in model.modules())
    assert host.session.store.nbytes == 0
    assert _equal(pipelines.denoise(tiny.SD, tiny.plain(model), 4), uncached)


def _cross_attentions(network: torch.nn.Module) -> list[int]:
    """Rows of every call of one cross-attention's projection, in order."""
    calls: list[int] = []
    attention = network.get_submodule("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q")
    attention.register_forward_pre_hook(lambda module, args: calls.append(len(args[0])))
    return calls


def test_tgate_breaks_under_a_sampler_with_two_evaluations_per_step() -> None:
    """At an even gate it never stores, and goes on computing; at an odd one it fails."""

    def heun() -> HeunDiscreteScheduler:
        return HeunDiscreteScheduler.from_config(pipelines.scheduler().config)

    pipe = tgate.TgateSDLoader(pipelines.pipeline(tiny.SD))
    pipe.scheduler = heun()
    calls = _cross_attentions(pipelines.network(pipe))
    pipelines.run(pipe.tgate, tiny.SD, 6, gate_step=4, warm_up=0, sp_interval=1)
    assert calls.count(1) > 0, "cross-attention to the null text after the gate"
    with pytest.raises(ValueError):
        pipelines.run(pipe.tgate, tiny.SD, 6, gate_step=5, warm_up=0, sp_interval=1)
    for gate in (4, 5):
        model = tiny.SD.make()
        calls = _cross_attentions(model)
        methods, timesteps = [TGate(gate, 0, 1, 1)], pipelines.timesteps(6, heun())
        with DiffusersHost(model, methods, timesteps, tiny.SD.layers) as host:
            latents = pipelines.denoise(tiny.SD, host, 6, sampler=heun())
        assert len(latents) == 11 and latents[-1].isfinite().all()
        # Of the timesteps that Heun visits, the first belongs to one evaluation, others to two.
        assert calls == [2] * (2 * gate - 1)
        assert host.report.strip_of("cross_attention") == "C" * gate + "R" * (6 - gate)


def test_tgate_averages_the_attention_of_different_pictures() -> None:
    """Without guidance it still halves the batch, and there the halves are pictures."""
    texts = tiny.SD.text(seed=4)
    pipe = tgate.TgateSDLoader(pipelines.pipeline(tiny.SD))
    settings = {"gate_step": 2, "warm_up": 0, "sp_interval": 1}
    pipelines.run(pipe.tgate, tiny.SD, 4, texts, guidance_scale=1.0, **settings)
    attention = pipelines.network(pipe).down_blocks[0].attentions[0].transformer_blocks[0].attn2
    assert len(attention.cache) == 1, "one tensor for both pictures"

    def picture(text: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        model, timesteps = tiny.shared(tiny.SD), pipelines.timesteps(4)
        methods = [TGate(2, 0, 1, 1)]
        with DiffusersHost(model, methods, timesteps, tiny.SD.layers, branches=[COND]) as host:
            sampler = pipelines.scheduler()
            sampler.set_timesteps(4)
            for t in sampler.timesteps.tolist():
                noise = sampler.step(
                    host(t, **tiny.SD.inputs(noise, t, text)), t, noise, return_dict=False
                )[0]
        assert host.report.strip_of("cross_attention") == "CCRR"
        return noise

    noise = tiny.SD.noise(2)
    both = picture(texts, noise)
    for one in range(2):
        alone = picture(texts[one : one + 1], noise[one : one + 1])
        # Kernels for two rows round differently than those for one.
        torch.testing.assert_close(both[one : one + 1], alone, rtol=0, atol=1e-9)
