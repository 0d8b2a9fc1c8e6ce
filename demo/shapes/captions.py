"""Caption encoder: a caption becomes three tokens, one per thing it names.

Every token is a sum of unit vectors (is it a ground, a shape, nothing; kind; colour; size;
place). There are no weights. Only the first ``USED`` of ``WIDTH`` columns are ever non-zero.
"""

from __future__ import annotations

import torch

from .scenes import COLOURS, GROUNDS, KINDS, PLACES, SIZES, Scene, parse

TOKENS = 3
USED = 32
WIDTH = 4096

_COLUMNS = (
    "no caption",
    "no shape",
    "ground",
    "shape",
    *(f"ground {name}" for name in GROUNDS),
    *KINDS,
    *COLOURS,
    *SIZES,
    *PLACES,
)
_COLUMN = {name: index for index, name in enumerate(_COLUMNS)}


def encode_scene(scene: Scene | None) -> torch.Tensor:
    """Tokens (TOKENS, USED) float32; ``None`` stands for the empty caption."""
    if scene is None:
        names: list[tuple[str, ...]] = [("no caption",)] * TOKENS
    else:
        names = [("ground", f"ground {scene.ground}")]
        names += [
            ("shape", shape.kind, shape.colour, shape.size, shape.place) for shape in scene.shapes
        ]
        names += [("no shape",)] * (TOKENS - len(names))
    tokens = torch.zeros(TOKENS, USED)
    for row, parts in enumerate(names):
        for part in parts:
            tokens[row, _COLUMN[part]] = 1.0
    return tokens


def encode(text: str) -> torch.Tensor:
    """Conditioning (1, TOKENS, WIDTH) of a caption; an empty one means no caption."""
    scene = parse(text) if text.strip() else None
    tokens = torch.zeros(1, TOKENS, WIDTH)
    tokens[0, :, :USED] = encode_scene(scene)
    return tokens
