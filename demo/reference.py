"""The reference models by name, and the domain each draws: captions, pictures, judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from .shapes import captions as shapes_captions
from .shapes import decoder as shapes_decoder
from .shapes import judge as shapes_judge
from .shapes import scenes as shapes_scenes
from .textures import canvas as textures_canvas
from .textures import captions as textures_captions
from .textures import judge as textures_judge
from .textures import scenes as textures_scenes


class Verdict(Protocol):
    """What every judge says."""

    @property
    def correct(self) -> bool: ...

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What pictures show.

    Args:
        held_out_captions: so many captions that no model was trained on.
        training_caption: a random one of the others.
        encode: conditioning (1, tokens, width) of a caption.
        pictures: of stored latents (B, ...), with the models' folder: (B * frames, side, side, 3).
        judge: of a picture (side, side, 3) in [0, 1] and its caption.
        rates: which parts of captions are right, of captions and as many of the judge's verdicts.
    """

    held_out_captions: Callable[[int], list[str]]
    training_caption: Callable[[np.random.Generator], str]
    encode: Callable[[str], torch.Tensor]
    pictures: Callable[[torch.Tensor, Path], torch.Tensor]
    judge: Callable[[NDArray[np.floating], str], Verdict]
    rates: Callable[[Sequence[str], Sequence[Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A reference model.

    Args:
        file: name of its weights, without ending.
        domain: what it draws.
        latent: of one frame, (channels, height, width).
        has_frames: whether latents have an axis for frames.
        is_unet: whether the demo's own loader reads it, not ComfyUI's.
    """

    file: str
    domain: Domain
    latent: tuple[int, int, int]
    has_frames: bool
    is_unet: bool

    def empty_latents(self, count: int, frames: int) -> torch.Tensor:
        """Zeros of the shape that so many pictures or clips begin with."""
        channels, height, width = self.latent
        if self.has_frames:
            return torch.zeros(count, channels, frames, height, width)
        return torch.zeros(count, channels, height, width)


def _shapes_pictures(samples: torch.Tensor, models: Path) -> torch.Tensor:
    from .nodes.latents import canvases

    decoder = shapes_decoder.load(models / "shapes_decoder.safetensors")
    return shapes_decoder.decode(decoder, canvases(samples))


def _textures_pictures(samples: torch.Tensor, models: Path) -> torch.Tensor:
    from .nodes.latents import canvases

    return textures_canvas.decode(canvases(samples))


SHAPES = Domain(
    held_out_captions=shapes_scenes.held_out_captions,
    training_caption=lambda rng: shapes_scenes.caption(shapes_scenes.random_scene(rng)),
    encode=shapes_captions.encode,
    pictures=_shapes_pictures,
    judge=shapes_judge.judge,
    rates=shapes_judge.rates,
)
TEXTURES = Domain(
    held_out_captions=textures_scenes.held_out_captions,
    training_caption=lambda rng: textures_scenes.caption(textures_scenes.random_scene(rng)),
    encode=textures_captions.encode,
    pictures=_textures_pictures,
    judge=textures_judge.judge,
    rates=textures_judge.rates,
)
REFERENCES = {
    "dit": Reference(
        file="shapes_dit", domain=SHAPES, latent=(16, 16, 16), has_frames=True, is_unet=False
    ),
    "unet": Reference(
        file="shapes_unet", domain=SHAPES, latent=(4, 32, 32), has_frames=False, is_unet=True
    ),
    "textures": Reference(
        file="textures_unet", domain=TEXTURES, latent=(4, 64, 64), has_frames=False, is_unet=True
    ),
}
