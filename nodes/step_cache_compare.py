"""Node "Step Cache Compare"."""

from __future__ import annotations

import json
import math
from statistics import fmean
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io, ui

from ..cache_core.errors import StepCacheError
from . import inputs, picture
from .picture.likeness import LEAST_SIDE, Pixels, psnr, ssim

NAME = "Step Cache Compare"


class StepCacheCompare(io.ComfyNode):
    """Sets a plain and a cached picture side by side."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheCompare",
            display_name=NAME,
            category=inputs.CATEGORY,
            description=(
                "A plain and a cached picture side by side, where they differ, and how alike they "
                "are in numbers. Draw both with the same seed and settings; only the Step Cache "
                "node may differ."
            ),
            inputs=[
                io.Image.Input(
                    "plain", tooltip="Drawn without a Step Cache node. A batch is compared whole."
                ),
                io.Image.Input(
                    "cached", tooltip="Drawn with one, of the same size; as many of them."
                ),
                io.Int.Input(
                    "shown",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip=(
                        "Which picture of the batch, or frame of the video, is drawn; 0 is the "
                        "first. The numbers are about all of them."
                    ),
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip=(
                        "The model that drew the cached picture, after the last Step Cache node: "
                        "then the seconds that it saved are told too."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(display_name="picture"),
                io.String.Output(display_name="text"),
                io.Float.Output(display_name="psnr"),
                io.Float.Output(display_name="ssim"),
                io.String.Output(display_name="json"),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        plain: torch.Tensor,
        cached: torch.Tensor,
        shown: int = 0,
        model: Any = None,
    ) -> io.NodeOutput:
        one, other = _checked(plain, cached)
        speed = _speed(model) if model is not None else {}
        numbers = {**_likeness(one, other), **speed}
        lines = _lines(numbers)
        index = min(shown, len(one) - 1)
        names = ("plain", "cached") if len(one) == 1 else (f"plain {index}", f"cached {index}")
        drawn = picture.to_image(picture.draw_compare(one[index], other[index], names, lines))
        text = "\n".join(lines)
        shown_on_node = {**ui.PreviewImage(drawn, cls=cls).as_dict(), "text": (text,)}
        decibels = math.inf if numbers["psnr"] is None else numbers["psnr"]
        similarity = math.nan if numbers["ssim"] is None else numbers["ssim"]
        data = json.dumps(numbers)
        return io.NodeOutput(drawn, text, decibels, similarity, data, ui=shown_on_node)


def _checked(plain: torch.Tensor, cached: torch.Tensor) -> tuple[list[Pixels], list[Pixels]]:
    """Both batches as pictures.

    Raises:
        StepCacheError: they are not of one size and number.
    """
    if plain.shape[:3] != cached.shape[:3]:
        sizes = [f"{len(b)} of {b.shape[2]} x {b.shape[1]}" for b in (plain, cached)]
        raise StepCacheError(
            f"{NAME}: plain is {sizes[0]}, cached {sizes[1]}; expected the same number and size. "
            f"Draw both with the same latent"
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
    has_room = min(one[0].shape[:2]) >= LEAST_SIDE
    return {
        "psnr": fmean(differing) if differing else None,
        "ssim": fmean(map(ssim, one, other)) if has_room else None,
        "largest_difference": max(
            float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True)
        ),
        "equal_pictures": len(decibels) - len(differing),
        "pictures": len(decibels),
    }


def _speed(model: Any) -> dict[str, float | None]:
    """Of the model's last run, by its own report."""
    report = inputs.report_of(model, NAME, "the last Step Cache node")
    return {"seconds": report.seconds, "speedup": report.measured_speedup}


def _lines(numbers: dict[str, float | None]) -> list[str]:
    decibels, similarity = numbers["psnr"], numbers["ssim"]
    if decibels is None:
        lines = ["The pictures are the same to the last bit."]
    else:
        alike = f", SSIM {similarity:.4f}" if similarity is not None else ""
        largest = 100 * (numbers["largest_difference"] or 0.0)
        lines = [f"PSNR {decibels:.2f} dB{alike}; largest difference {largest:.1f} % of the range"]
    count, same = numbers["pictures"] or 0, numbers["equal_pictures"] or 0
    if count > 1:
        without = f", PSNR without {same:.0f} equal ones" if same else ""
        lines.append(f"means over {count:.0f} pictures{without}")
    seconds, speedup = numbers.get("seconds"), numbers.get("speedup")
    if seconds is not None:
        speed = f", {speedup:.2f}x as fast as if all steps computed" if speedup else ""
        lines.append(f"the cached run took {seconds:.2f} s{speed}")
    return lines
