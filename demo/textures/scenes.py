"""Scenes of four fabrics, their captions, and the held-out split."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np

PLACES = ("top left", "top right", "bottom left", "bottom right")
PATTERNS = (
    "level lines",
    "upright lines",
    "rising lines",
    "falling lines",
    "zigzags",
    "dots",
    "grids",
    "bricks",
    "weaves",
    "grains",
)
COLOURS = ("red", "green", "blue", "yellow", "magenta", "cyan")
INKS = ("black", "white")
LETTERS = ("A", "E", "H", "M", "O", "S", "T", "X")

EXAMPLE = (
    "top left red bricks on cyan; top right blue dots on yellow under a white X; "
    "bottom left green grains on magenta under a black S; bottom right red zigzags on blue"
)
LETTERED = 0.5
HELD_OUT_ONE_IN = 10


@dataclass(frozen=True, order=True)
class Fabric:
    """One quarter of a picture as a caption names it.

    Args:
        pattern: one of `PATTERNS`.
        colour, ground: of the pattern and of what is between, two different ones of `COLOURS`.
        letter: one of `LETTERS`, or "" for none.
        ink: the letter's, one of `INKS`; "" without a letter.
    """

    pattern: str
    colour: str
    ground: str
    letter: str = ""
    ink: str = ""

    def phrase(self) -> str:
        letter = f" under a {self.ink} {self.letter}" if self.letter else ""
        return f"{self.colour} {self.pattern} on {self.ground}{letter}"


@dataclass(frozen=True)
class Scene:
    """What a caption says: four fabrics in the order of `PLACES`."""

    fabrics: tuple[Fabric, ...]


def caption(scene: Scene) -> str:
    """The one wording of a scene."""
    pairs = zip(PLACES, scene.fabrics, strict=True)
    return "; ".join(f"{place} {fabric.phrase()}" for place, fabric in pairs)


_FABRIC = re.compile(
    rf"({'|'.join(COLOURS)}) ({'|'.join(PATTERNS)}) on ({'|'.join(COLOURS)})"
    rf"(?: under an? ({'|'.join(INKS)}) ({'|'.join(LETTERS).lower()}))?"
)


def parse(text: str) -> Scene:
    """Read a caption back; raises ``ValueError`` that says what is expected."""
    parts = [" ".join(part.split()) for part in text.lower().rstrip(" .\n").split(";")]
    fabrics = []
    for place, part in zip(PLACES, parts, strict=False):
        found = _FABRIC.fullmatch(part.removeprefix(f"{place} "))
        if found is None or not part.startswith(place) or found[1] == found[3]:
            break
        fabrics.append(
            Fabric(found[2], found[1], found[3], (found[5] or "").upper(), found[4] or "")
        )
    if len(fabrics) == len(parts) == len(PLACES):
        return Scene(tuple(fabrics))
    raise ValueError(
        f"cannot read the caption {text!r}. Expected '<place> <colour> <pattern> on <other colour>'"
        f" or the same with 'under a <ink> <letter>', once for each place and parted by ';', for "
        f"example {EXAMPLE!r}. Places in this order: {', '.join(PLACES)}; colour: "
        f"{'/'.join(COLOURS)}; pattern: {'/'.join(PATTERNS)}; ink: {'/'.join(INKS)}; letter: "
        f"{'/'.join(LETTERS)}."
    )


def is_held_out(scene: Scene) -> bool:
    """One scene in ten, chosen by a hash of its caption, is never trained on."""
    digest = hashlib.sha256(caption(scene).encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_ONE_IN == 0


def _any_scene(rng: np.random.Generator) -> Scene:
    fabrics = []
    for _ in PLACES:
        colour, ground = rng.choice(len(COLOURS), 2, replace=False)
        pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
        letter = ink = ""
        if rng.random() < LETTERED:
            letter = LETTERS[int(rng.integers(len(LETTERS)))]
            ink = INKS[int(rng.integers(len(INKS)))]
        fabrics.append(Fabric(pattern, COLOURS[colour], COLOURS[ground], letter, ink))
    return Scene(tuple(fabrics))


def random_scene(rng: np.random.Generator) -> Scene:
    """A scene from the training part."""
    while True:
        scene = _any_scene(rng)
        if not is_held_out(scene):
            return scene


def held_out_captions(count: int, seed: int = 2024) -> list[str]:
    """``count`` different captions of held-out scenes, always the same ones for a seed."""
    rng = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        scene = _any_scene(rng)
        if is_held_out(scene):
            found[caption(scene)] = None
    return list(found)
