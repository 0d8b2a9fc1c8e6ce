"""Caption encoder: a caption becomes four tokens, one per fabric.

Every token is a sum of unit vectors (place; pattern; its colour; the ground's; letter; ink), or
says that there is no caption. There are no weights.
"""

from __future__ import annotations

import torch

from .scenes import COLOURS, INKS, LETTERS, PATTERNS, PLACES, Scene, parse

TOKENS = len(PLACES)

_COLUMNS = (
    "no caption",
    *PLACES,
    *PATTERNS,
    *COLOURS,
    *(f"ground {name}" for name in COLOURS),
    "no letter",
    *LETTERS,
    *INKS,
)
_COLUMN = {name: index for index, name in enumerate(_COLUMNS)}
WIDTH = len(_COLUMNS)


def encode_scene(scene: Scene | None) -> torch.Tensor:
    """Tokens (TOKENS, WIDTH) float32; ``None`` stands for the empty caption."""
    tokens = torch.zeros(TOKENS, WIDTH)
    if scene is None:
        tokens[:, _COLUMN["no caption"]] = 1.0
        return tokens
    for row, (place, fabric) in enumerate(zip(PLACES, scene.fabrics, strict=True)):
        letter = (fabric.letter, fabric.ink) if fabric.letter else ("no letter",)
        names = (place, fabric.pattern, fabric.colour, f"ground {fabric.ground}", *letter)
        for name in names:
            tokens[row, _COLUMN[name]] = 1.0
    return tokens


def encode(text: str) -> torch.Tensor:
    """Conditioning (1, TOKENS, WIDTH) of a caption; an empty one means no caption."""
    return encode_scene(parse(text) if text.strip() else None)[None]
