"""Pictures that are painted in part: noise masks, graded masks, and models made for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import comfy.sd
import comfy.taesd.taesd
import comfy.utils
import torch
import toys
from host import applied

import nodes

from .companion import EVERY, Companion, Conds, empty


def _latent(name: str) -> torch.Tensor:
    return torch.randn(empty(name).shape, generator=torch.Generator().manual_seed(2))


def _graded(name: str) -> torch.Tensor:
    """A mask that rises from left to right."""
    height, width = empty(name).shape[-2:]
    return torch.linspace(0.0, 1.0, width).expand(1, 1, height, width).clone()


def _masked(mask: Callable[[str], torch.Tensor]) -> Callable[[str], dict[str, Any]]:
    return lambda name: {"latent": _latent(name), "noise_mask": mask(name)}


@cache
def _vae(channels: int) -> comfy.sd.VAE:
    """The smallest picture encoder that the host knows, with random weights."""
    network = comfy.taesd.taesd.TAESD(latent_channels=channels)
    toys.fill(network)
    return comfy.sd.VAE(sd=network.state_dict())


@cache
def _inpaint(name: str) -> tuple[list, list, dict[str, torch.Tensor]]:
    """ComfyUI's own node: prompts that carry the picture and the mask, and a latent to start."""
    channels, height, width = empty(name).shape[1:]
    generator = torch.Generator().manual_seed(4)
    picture = torch.rand(1, 8 * height, 8 * width, 3, generator=generator)
    mask = torch.zeros(1, 8 * height, 8 * width)
    mask[:, :, 4 * width :] = 1.0
    positive, negative = toys.conditioning(name)
    with torch.inference_mode():
        return nodes.InpaintModelConditioning().encode(
            positive, negative, picture, _vae(channels), mask
        )


def _inpaint_conds(conds: Conds, name: str) -> Conds:
    return _inpaint(name)[:2]


def _inpaint_options(name: str) -> dict[str, Any]:
    latent = _inpaint(name)[2]
    return {"latent": latent["samples"], "noise_mask": latent["noise_mask"]}


def _first_frame(conds: Conds, name: str) -> Conds:
    """What image-to-video nodes add: the encoded picture, and which frames it fills."""
    image = _latent(name)
    mask = torch.ones(1, 1, *image.shape[2:])
    mask[:, :, :1] = 0.0
    positive, negative = (
        [
            [text, {**entries, "concat_latent_image": image, "concat_mask": mask}]
            for text, entries in cond
        ]
        for cond in conds
    )
    return positive, negative


INPAINTING = [
    Companion(
        "noise mask", EVERY, ("FasterCache", "DeepCache"),
        options=_masked(lambda name: (_graded(name) > 0.5).float()),
    ),
    Companion(
        "differential diffusion", EVERY, ("FasterCache", "TGate", "DeepCache"),
        applied("nodes_differential_diffusion", "DifferentialDiffusion", strength=1.0),
        options=_masked(_graded),
    ),
    # Models with channels for the picture and the mask, or for the picture that a video begins
    # with: each family has its own.
    Companion(
        "inpaint model", ("inpaint", "flux_fill"), ("FasterCache", "TGate", "DeepCache"),
        change=_inpaint_conds, options=_inpaint_options,
    ),
    Companion(
        "first frame", ("wan_i2v", "cogvideox_i2v"), ("FasterCache", "TGate", "SmoothCache"),
        change=_first_frame,
    ),
]  # fmt: skip
