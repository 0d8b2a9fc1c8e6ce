"""Several prompts: at once, in areas and masks, and one after the other."""

from __future__ import annotations

from collections.abc import Callable

import torch

import nodes

from .companion import EVERY, PAIR, Companion, Conds, empty, set_range, weaker


def two_positives(conds: Conds, name: str = "") -> Conds:
    positive, negative = conds
    return [*positive, *weaker(positive)], negative


def _area(conds: Conds, name: str) -> Conds:
    """A prompt for the left half, beside one for the whole picture."""
    positive, negative = conds
    height, width = empty(name).shape[-2:]
    (corner,) = nodes.ConditioningSetArea().append(
        weaker(positive), 8 * (width // 2), 8 * height, 0, 0, 1.0
    )
    return [*corner, *positive], negative


def _mask(name: str) -> torch.Tensor:
    height, width = empty(name).shape[-2:]
    mask = torch.zeros(1, 8 * height, 8 * width)
    mask[:, : 4 * height] = 1.0
    return mask


def _masked(bounds: str) -> Callable[[Conds, str], Conds]:
    def change(conds: Conds, name: str) -> Conds:
        positive, negative = conds
        (upper,) = nodes.ConditioningSetMask().append(weaker(positive), _mask(name), bounds, 0.8)
        return [*upper, *positive], negative

    return change


def _scheduled(conds: Conds, name: str) -> Conds:
    """Another positive prompt from some point of the run on."""
    positive, negative = conds
    later = weaker(positive, -1.0)
    return [*set_range(positive, 0.0, 0.4), *set_range(later, 0.4, 1.0)], negative


def _scheduled_negative(conds: Conds, name: str) -> Conds:
    """The negative prompt changes, and comes back."""
    positive, negative = conds
    other = weaker(negative, -1.0)
    parts = ((negative, 0.0, 0.3), (other, 0.3, 0.7), (negative, 0.7, 1.0))
    return positive, [entry for part in parts for entry in set_range(*part)]


def _two_pictures(name: str) -> dict[str, torch.Tensor]:
    return {"latent": torch.cat([empty(name)] * 2)}


PROMPTS = [
    Companion("cfg 1", PAIR, ("FasterCache", "DeepCache"), options=lambda _: {"cfg": 1.0},
              has_guidance=False),
    Companion("batch 2", PAIR, ("FasterCache", "TGate"), options=_two_pictures),
    Companion("two positive prompts", EVERY, ("FasterCache", "TGate"), change=two_positives),
    Companion("area prompt", EVERY, ("FasterCache", "TGate", "DeepCache"), change=_area),
    Companion("masked prompt", EVERY, ("FasterCache", "TGate"), change=_masked("default")),
    # ComfyUI itself finds bounds in pictures only, not in clips.
    Companion(
        "prompt in a mask's bounds", ("sd15", "flux", "sd3", "lumina2"), ("SmoothCache",),
        change=_masked("mask bounds"),
    ),
    Companion(
        "prompt scheduling", EVERY,
        ("FasterCache guidance", "FasterCache attention", "TGate", "DeepCache", "PAB blocks"),
        change=_scheduled, steps=6, has_forced=True,
    ),
    Companion(
        "negative prompt scheduling", ("sd15", "wan", "flux", "sd3"),
        ("FasterCache guidance", "TGate"),
        change=_scheduled_negative, steps=6, has_forced=True,
    ),
]  # fmt: skip
