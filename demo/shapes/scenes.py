"""Scenes of one or two shapes, their captions, and the held-out split.

Lengths are fractions of the picture's side; x grows to the right and y downwards.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

KINDS = ("circle", "square", "triangle")
COLOURS = ("red", "green", "blue", "yellow", "magenta", "cyan")
SIZES = ("small", "large")
GROUNDS = ("black", "white", "grey")
PLACES = ("centre", "left", "right", "top", "bottom")

RGB: dict[str, tuple[int, int, int]] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
}

RADIUS = {"small": (0.100, 0.110), "large": (0.183, 0.195)}
# Half width and half height of a shape's bounding box, in units of its radius.
HALF_EXTENT = {
    "circle": (1.0, 1.0),
    "square": (0.886, 0.886),
    "triangle": (1.0392, 0.9),
}
PLACE_XY = {
    "centre": (0.5, 0.5),
    "left": (0.25, 0.5),
    "right": (0.75, 0.5),
    "top": (0.5, 0.25),
    "bottom": (0.5, 0.75),
}
PLACE_PHRASE = {
    "centre": "in the centre",
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
}
RELATION_PLACES = {
    "left of": ("left", "right"),
    "right of": ("right", "left"),
    "above": ("top", "bottom"),
    "below": ("bottom", "top"),
}
EXAMPLE = "a large red circle left of a small green square on a black ground"

JITTER_SINGLE = 0.015
JITTER_ALONG = 0.012
JITTER_ACROSS = 0.015
HELD_OUT_ONE_IN = 10


@dataclass(frozen=True, order=True)
class Shape:
    """One shape as a caption names it."""

    kind: str
    colour: str
    size: str
    place: str

    def phrase(self) -> str:
        return f"a {self.size} {self.colour} {self.kind}"


@dataclass(frozen=True)
class Scene:
    """What a caption says: a ground and one or two shapes, in no particular order."""

    ground: str
    shapes: tuple[Shape, ...]

    def key(self) -> str:
        """The same text for every wording of the same scene."""
        return repr((self.ground, tuple(sorted(self.shapes))))

    def matches(self, other: Scene) -> bool:
        return self.key() == other.key()


@dataclass(frozen=True)
class Placed:
    """A shape with its exact geometry: bounding-box centre and radius."""

    shape: Shape
    x: float
    y: float
    radius: float


def caption(scene: Scene, flip: bool = False) -> str:
    """Word a scene; ``flip`` names the two shapes in the other order."""
    tail = f" on a {scene.ground} ground"
    if len(scene.shapes) == 1:
        shape = scene.shapes[0]
        return f"{shape.phrase()} {PLACE_PHRASE[shape.place]}{tail}"
    first, second = scene.shapes[::-1] if flip else scene.shapes
    for relation, places in RELATION_PLACES.items():
        if places == (first.place, second.place):
            return f"{first.phrase()} {relation} {second.phrase()}{tail}"
    raise ValueError(f"two shapes cannot stand at {first.place!r} and {second.place!r}")


_OBJECT = rf"an? ({'|'.join(SIZES)}) ({'|'.join(COLOURS)}) ({'|'.join(KINDS)})"
_TAIL = rf"on a ({'|'.join(GROUNDS)}) ground"
_PHRASE_PLACE = {phrase: place for place, phrase in PLACE_PHRASE.items()}
_SINGLE = re.compile(rf"{_OBJECT} ({'|'.join(_PHRASE_PLACE)}) {_TAIL}")
_PAIR = re.compile(rf"{_OBJECT} ({'|'.join(RELATION_PLACES)}) {_OBJECT} {_TAIL}")


def parse(text: str) -> Scene:
    """Read a caption back; raises ``ValueError`` that says what is expected."""
    clean = re.sub(r"[\s,.]+", " ", text.lower()).strip()
    single = _SINGLE.fullmatch(clean)
    if single:
        size, colour, kind, phrase, ground = single.groups()
        return Scene(ground, (Shape(kind, colour, size, _PHRASE_PLACE[phrase]),))
    pair = _PAIR.fullmatch(clean)
    if pair:
        size_a, colour_a, kind_a, relation, size_b, colour_b, kind_b, ground = pair.groups()
        place_a, place_b = RELATION_PLACES[relation]
        return Scene(
            ground,
            (
                Shape(kind_a, colour_a, size_a, place_a),
                Shape(kind_b, colour_b, size_b, place_b),
            ),
        )
    raise ValueError(
        f"cannot read the caption {text!r}. Expected '<object> <place> on a <ground> ground' or "
        f"'<object> <relation> <object> on a <ground> ground', for example {EXAMPLE!r}. "
        f"Object: a {'/'.join(SIZES)} {'/'.join(COLOURS)} {'/'.join(KINDS)}; "
        f"place: {'/'.join(_PHRASE_PLACE)}; relation: {'/'.join(RELATION_PLACES)}; "
        f"ground: {'/'.join(GROUNDS)}."
    )


def is_held_out(scene: Scene) -> bool:
    """One scene in ten, chosen by a hash of its content, is never trained on."""
    digest = hashlib.sha256(scene.key().encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_ONE_IN == 0


def all_scenes() -> Iterator[Scene]:
    """Every scene once (540 with one shape, 7776 with two)."""
    objects = list(itertools.product(KINDS, COLOURS, SIZES))
    for ground in GROUNDS:
        for place in PLACES:
            for a in objects:
                yield Scene(ground, (Shape(*a, place),))
        for place_a, place_b in (("left", "right"), ("top", "bottom")):
            for a, b in itertools.product(objects, objects):
                yield Scene(ground, (Shape(*a, place_a), Shape(*b, place_b)))


def held_out_captions(count: int, seed: int = 2024) -> list[str]:
    """``count`` captions of held-out scenes, always the same ones for a seed."""
    scenes = [scene for scene in all_scenes() if is_held_out(scene)]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(scenes))
    if count > len(scenes):
        raise ValueError(f"only {len(scenes)} scenes are held out; {count} were asked for")
    return [caption(scenes[i], flip=bool(rng.integers(2))) for i in order[:count]]


def random_scene(rng: np.random.Generator, single: float = 0.25) -> Scene:
    """A scene from the training part; ``single`` is the share with one shape."""

    def pick(options: tuple[str, ...]) -> str:
        return options[int(rng.integers(len(options)))]

    def named(place: str) -> Shape:
        return Shape(pick(KINDS), pick(COLOURS), pick(SIZES), place)

    while True:
        if rng.random() < single:
            shapes: tuple[Shape, ...] = (named(pick(PLACES)),)
        else:
            places = (("left", "right"), ("top", "bottom"))[int(rng.integers(2))]
            shapes = (named(places[0]), named(places[1]))
        scene = Scene(pick(GROUNDS), shapes)
        if not is_held_out(scene):
            return scene


def place_shapes(scene: Scene, rng: np.random.Generator) -> list[Placed]:
    """Draw exact positions and radii that fit the scene's words."""
    placed = []
    for shape in scene.shapes:
        x, y = PLACE_XY[shape.place]
        if len(scene.shapes) == 1:
            jitter_x = jitter_y = JITTER_SINGLE
        elif shape.place in ("left", "right"):
            jitter_x, jitter_y = JITTER_ALONG, JITTER_ACROSS
        else:
            jitter_x, jitter_y = JITTER_ACROSS, JITTER_ALONG
        placed.append(
            Placed(
                shape,
                x + float(rng.uniform(-jitter_x, jitter_x)),
                y + float(rng.uniform(-jitter_y, jitter_y)),
                float(rng.uniform(*RADIUS[shape.size])),
            )
        )
    return placed
