"""Two batches of pictures beside each other: as one picture, in words and as numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from comfy import model_management
from comfy_api.latest import io, ui

from .. import pictures
from ..cache_core.errors import StepCacheError
from ..pictures import perceptual
from ..pictures.metrics import MIN_SIDE, Pixels, psnr, ssim

Numbers = Mapping[str, float | None]

MAX_PAIRS = 32
"""Pairs of pictures under the slider; of more, such as a video's frames, evenly chosen ones."""


def outputs() -> list[io.Output]:
    """Of every node that compares, in the order of `Comparison.outputs`."""
    return [
        io.Image.Output(display_name="picture"),
        io.String.Output(display_name="text"),
        io.Float.Output(display_name="psnr"),
        io.Float.Output(display_name="ssim"),
        io.String.Output(display_name="json"),
    ]


def shown_input() -> io.Int.Input:
    """Which picture of a batch is drawn."""
    return io.Int.Input(
        "shown",
        default=0,
        min=0,
        max=4096,
        tooltip=(
            "Which picture of the batch, or frame of the video, is drawn; 0 is the "
            "first. The numbers are about all of them."
        ),
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two nodes hand out.

    Args:
        drawn: the labelled picture, shape (1, height, width, 3), values in [0, 1].
        text: the numbers in words.
        numbers: None for the psnr of equal pictures, and where ssim has no room.
        plain, cached: the batches, (batch, height, width, 3), values in [0, 1].
    """

    drawn: torch.Tensor
    text: str
    numbers: Numbers
    plain: torch.Tensor
    cached: torch.Tensor

    @property
    def outputs(self) -> tuple[torch.Tensor, str, float, float, str]:
        """Picture, text, PSNR in dB (infinite for equal pictures), SSIM, and all as JSON."""
        decibels, similarity = self.numbers["psnr"], self.numbers["ssim"]
        return (
            self.drawn,
            self.text,
            math.inf if decibels is None else decibels,
            math.nan if similarity is None else similarity,
            json.dumps(self.numbers),
        )

    def on_node(self, node: type[io.ComfyNode]) -> dict[str, Any]:
        """What the node itself shows: the labelled picture, the text, and pairs for the slider."""
        count = len(self.plain)
        numbers = list(range(0, count, math.ceil(count / MAX_PAIRS)))
        plain, cached = (
            ui.PreviewImage(batch[numbers], cls=node).as_dict()["images"]
            for batch in (self.plain, self.cached)
        )
        pairs = [
            {"plain": one, "cached": other, "number": number + 1, "of": count}
            for number, one, other in zip(numbers, plain, cached, strict=True)
        ]
        drawn = ui.PreviewImage(self.drawn, cls=node).as_dict()
        return {**drawn, "text": (self.text,), "pairs": pairs}


def compare(
    plain: torch.Tensor, cached: torch.Tensor, shown: int, speed: Numbers, node: str
) -> Comparison:
    """Compare two batches of pictures.

    Args:
        plain, cached: (batch, height, width, 3 or more), values in [0, 1].
        shown: which of the batch is drawn; the last if there are not so many.
        speed: seconds of the cached run and speedup, as far as they are known; plain_seconds where
            the plain run was timed beside it.
        node: the node that asks.

    Raises:
        StepCacheError: the batches are not of one size and number.
    """
    one, other = _checked(plain, cached, node)
    numbers = {**_likeness(one, other), **_perceptual(plain, cached), **speed}
    lines = [*_on_likeness(numbers), *_on_speed(numbers)]
    index = min(shown, len(one) - 1)
    names = ("plain", "cached") if len(one) == 1 else (f"plain {index}", f"cached {index}")
    drawn = pictures.to_image(pictures.draw_compare(one[index], other[index], names, lines))
    plain, cached = (batch[..., :3] for batch in (plain, cached))
    return Comparison(drawn, "\n".join(lines), numbers, plain, cached)


def _checked(
    plain: torch.Tensor, cached: torch.Tensor, node: str
) -> tuple[list[Pixels], list[Pixels]]:
    """Both batches as pictures."""
    if plain.shape[:3] != cached.shape[:3]:
        sizes = [f"{len(b)} of {b.shape[2]} x {b.shape[1]}" for b in (plain, cached)]
        raise StepCacheError(
            f"{node}: plain is {sizes[0]}, cached {sizes[1]}; expected the same number and size. "
            f"Draw both with the same latent"
        )
    for name, batch in (("plain", plain), ("cached", cached)):
        if not torch.isfinite(batch).all():
            raise StepCacheError(
                f"{node}: the {name} picture holds values that are not numbers (NaN or infinite), "
                f"so that it is black: try another weight_dtype or another VAE"
            )
    one, other = (
        [np.asarray(each, dtype=np.float64) for each in batch[..., :3].float().cpu().numpy()]
        for batch in (plain, cached)
    )
    return one, other


def _likeness(one: list[Pixels], other: list[Pixels]) -> dict[str, float | None]:
    """Means over the batch; None for the psnr of equal pictures, and where ssim has no room."""
    decibels = [psnr(a, b) for a, b in zip(one, other, strict=True)]
    differing = [each for each in decibels if math.isfinite(each)]
    has_room = min(one[0].shape[:2]) >= MIN_SIDE
    return {
        "psnr": fmean(differing) if differing else None,
        "ssim": fmean(map(ssim, one, other)) if has_room else None,
        "largest_difference": max(
            float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True)
        ),
        "equal_pictures": len(decibels) - len(differing),
        "pictures": len(decibels),
    }


def _perceptual(plain: torch.Tensor, cached: torch.Tensor) -> dict[str, float | None]:
    """LPIPS by the network that is installed; nothing where there is none."""
    net = perceptual.network()
    if net is None or min(plain.shape[1:3]) < perceptual.MIN_SIDE:
        return {}
    pairs = zip(plain[..., :3], cached[..., :3], strict=True)
    return {f"lpips_{net}": perceptual.lpips(net, pairs, model_management.get_torch_device())}


def _on_likeness(numbers: Numbers) -> list[str]:
    decibels, similarity = numbers["psnr"], numbers["ssim"]
    if decibels is None:
        lines = ["The pictures are the same to the last bit."]
    else:
        alike = f", SSIM {similarity:.4f}" if similarity is not None else ""
        largest = 100 * (numbers["largest_difference"] or 0.0)
        lines = [f"PSNR {decibels:.2f} dB{alike}; largest difference {largest:.1f} % of the range"]
        lines += [
            f"LPIPS {value:.4f} ({name.removeprefix('lpips_')}; 0 looks the same)"
            for name, value in numbers.items()
            if name.startswith("lpips_") and value is not None
        ]
    count, same = numbers["pictures"] or 0, numbers["equal_pictures"] or 0
    if count > 1:
        without = f", PSNR without {same:.0f} equal ones" if same else ""
        lines.append(f"means over {count:.0f} pictures{without}")
    return lines


def _on_speed(numbers: Numbers) -> list[str]:
    seconds, speedup, plain = map(numbers.get, ("seconds", "speedup", "plain_seconds"))
    if seconds is None:
        return []
    if plain is not None and speedup is not None:
        return [f"plain took {plain:.2f} s, cached {seconds:.2f} s: {speedup:.2f}x as fast"]
    speed = f", {speedup:.2f}x as fast as if all steps computed" if speedup else ""
    return [f"the cached run took {seconds:.2f} s{speed}"]
