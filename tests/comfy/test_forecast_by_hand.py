"""What the sampler is answered, by hand: reference latents, and several things in one."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
import torch
import toys
from comfy.nested_tensor import NestedTensor
from comfy.patcher_extension import WrappersMP
from comfy.utils import unpack_latents
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import StepCache

STEPS = 8
REFERENCES = ("kontext", "flux2_edit", "qwen_edit", "omnigen2")
SEVERAL = ("ltxav", "minimax", "triposplat")
"""Video and sound, the same, and a shape and its camera."""
NOISE_ALONE = -2.0


class Seen(NamedTuple):
    """One evaluation of a flow model: latents are (1 - sigma) × picture + sigma × noise."""

    step: int
    sigma: float
    x: torch.Tensor
    denoised: torch.Tensor

    @property
    def noise(self) -> torch.Tensor:
        return (self.x - (1 - self.sigma) * self.denoised) / self.sigma

    @property
    def half_log_snr(self) -> float:
        return math.log((1 - self.sigma) / self.sigma) if self.sigma < 1 else -math.inf


def _watched(model: Any, name: str, **options: Any) -> list[Seen]:
    """The evaluations of one run without guidance."""
    seen: list[Seen] = []

    def watch(executor: Any, x: torch.Tensor, timestep: Any, *args: Any) -> torch.Tensor:
        before = x.clone()
        denoised = executor(x, timestep, *args)
        level = float(timestep.flatten()[0])
        seen.append(Seen(len(seen), level, before, denoised.clone()))
        return denoised

    clone = model.clone()
    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "watch", watch)
    toys.sample(clone, name, **{**dict(toys.TOYS[name].options), "cfg": 1.0, **options})
    return seen


def _by_hand(older: Seen, newer: Seen, now: Seen) -> torch.Tensor:
    """The denoised latents on a line through two noises; held behind a first one of noise alone."""
    reach = 0.0
    if older.step > 0 or older.half_log_snr > NOISE_ALONE:
        length = newer.half_log_snr - older.half_log_snr
        reach = (now.half_log_snr - newer.half_log_snr) / length
        if older.half_log_snr < NOISE_ALONE:
            reach = min(reach, 1.0)
    noise = newer.noise + reach * (newer.noise - older.noise)
    return (now.x - now.sigma * noise) / (1 - now.sigma)


def _parts(name: str, latent: torch.Tensor) -> list[torch.Tensor]:
    """What is sampled together, one by one."""
    empty = toys.TOYS[name].empty()
    if not empty.is_nested:
        return [latent]
    return unpack_latents(latent, [part.shape for part in empty.unbind()])


def _lies_on_the_lines(name: str, seen: list[Seen], strip: str) -> None:
    assert "R" in strip and len(seen) == len(strip)
    for step, now in enumerate(seen):
        if strip[step] == "R":
            older, newer = [seen[s] for s in range(step) if strip[s] == "C"][-2:]
            expected = _parts(name, _by_hand(older, newer, now))
            for found, right in zip(_parts(name, now.denoised), expected, strict=True):
                # Of each part by itself: sound may be quieter than the picture.
                assert (found - right).abs().max() <= 1e-3 * right.abs().max()


@pytest.mark.parametrize("name", [*REFERENCES, *SEVERAL])
def test_every_part_lies_on_a_line_of_its_own_noise(name: str) -> None:
    model = attach(toys.load(name), StepCache(2.0))
    seen = _watched(model, name, steps=STEPS)
    _lies_on_the_lines(name, seen, last_report(model).strip_of("evaluation"))


@pytest.mark.parametrize("kept", [0, 1], ids=["the video", "the sound"])
@pytest.mark.parametrize("name", ["ltxav", "minimax"])
def test_a_part_that_is_given_stays_and_the_other_is_forecast(name: str, kept: int) -> None:
    torch.manual_seed(0)
    parts = [torch.randn_like(part) for part in toys.TOYS[name].empty().unbind()]
    masks = [torch.ones_like(part) for part in parts]
    masks[kept].zero_()
    options = {"steps": STEPS, "latent": NestedTensor(parts), "noise_mask": NestedTensor(masks)}
    plain = _watched(toys.load(name), name, **options)
    model = attach(toys.load(name), StepCache(2.0))
    seen = _watched(model, name, **options)
    _lies_on_the_lines(name, seen, last_report(model).strip_of("evaluation"))
    for ours, theirs in zip(seen, plain, strict=True):
        assert torch.equal(_parts(name, ours.x)[kept], _parts(name, theirs.x)[kept])
    assert not torch.equal(seen[-1].x, plain[-1].x)


def test_two_references_in_one_run_are_two_streams() -> None:
    """One picture on the positive, another one on the negative prompt."""
    name = "kontext"
    positive, negative = toys.conditioning(name)
    other = [[negative[0][0], {**negative[0][1], "reference_latents": [torch.ones(1, 16, 4, 4)]}]]
    model = attach(toys.load(name), StepCache(2.0))
    pictures = [
        toys.sample(model, name, steps=STEPS, conds=(positive, last)) for last in (negative, other)
    ]
    assert not torch.equal(*pictures)
    report = last_report(model)
    assert not report.forced
    assert report.counts_of("evaluation") == (8, 8)
