"""Batches drawn on the fly; batch ``step`` of a seed is always the same one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..shapes import canvas, captions, render, scenes
from ..textures import canvas as textures_canvas
from ..textures import captions as textures_captions
from ..textures import scenes as textures_scenes

NO_CAPTION = 0.1
DRIFT = 0.02


def generator(seed: int, step: int) -> tuple[np.random.Generator, torch.Generator]:
    """Independent streams for scenes and for noise."""
    streams = np.random.SeedSequence([seed, step]).generate_state(2)
    return np.random.default_rng(streams[0]), torch.Generator().manual_seed(int(streams[1]))


def drifting(
    placed: list[scenes.Placed], frames: int, rng: np.random.Generator
) -> list[list[scenes.Placed]]:
    """Positions in each frame of a clip: all shapes drift together, and stay in the picture."""
    angle = rng.uniform(0, 2 * np.pi)
    step_x, step_y = DRIFT * np.cos(angle), DRIFT * np.sin(angle)
    clip = []
    for frame in range(frames):
        offset = frame - (frames - 1) / 2
        moved = []
        for one in placed:
            half_x, half_y = (one.radius * e for e in scenes.HALF_EXTENT[one.shape.kind])
            x = float(np.clip(one.x + offset * step_x, half_x, 1 - half_x))
            y = float(np.clip(one.y + offset * step_y, half_y, 1 - half_y))
            moved.append(replace(one, x=x, y=y))
        clip.append(moved)
    return clip


def batch(
    rng: np.random.Generator, count: int, frames: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Canvases (count, frames, 4, 32, 32) and tokens (count, TOKENS, USED)."""
    canvases, tokens = [], []
    for _ in range(count):
        scene = scenes.random_scene(rng)
        placed = scenes.place_shapes(scene, rng)
        clip = drifting(placed, frames, rng) if frames > 1 else [placed]
        canvases.append(torch.stack([canvas.draw(scene.ground, shapes) for shapes in clip]))
        tokens.append(captions.encode_scene(None if rng.random() < NO_CAPTION else scene))
    return torch.stack(canvases), torch.stack(tokens)


def still_batch(rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Canvases (count, 4, 32, 32) and tokens (count, TOKENS, USED)."""
    canvases, tokens = batch(rng, count)
    return canvases[:, 0], tokens


def textures_batch(rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Canvases (count, 4, 64, 64) of textures and tokens (count, TOKENS, WIDTH)."""
    canvases, tokens = [], []
    for _ in range(count):
        scene = textures_scenes.random_scene(rng)
        canvases.append(textures_canvas.draw(scene, rng))
        named = None if rng.random() < NO_CAPTION else scene
        tokens.append(textures_captions.encode_scene(named))
    return torch.stack(canvases), torch.stack(tokens)


def decoder_batch(
    rng: np.random.Generator, count: int, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Canvases (count, 4, 32, 32) and pictures (count, 3, side, side) in [0, 1]."""
    canvases, pictures = [], []
    for _ in range(count):
        scene = scenes.random_scene(rng)
        placed = scenes.place_shapes(scene, rng)
        canvases.append(canvas.draw(scene.ground, placed))
        pictures.append(torch.from_numpy(render.render(scene.ground, placed, side)[0]))
    return torch.stack(canvases), torch.stack(pictures)
