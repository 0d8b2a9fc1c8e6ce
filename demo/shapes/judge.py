"""The judge: reads ground, shapes, colours, sizes and places back from a picture.

It knows only pixels. Anything that is not a clean picture of one or two shapes, each in a place a
caption can name, is refused with a reason; nothing is guessed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .render import signed_distance
from .scenes import COLOURS, GROUNDS, HALF_EXTENT, KINDS, RADIUS, RGB, Scene, Shape, caption, parse

# Colour distances are in units of a full channel (black to white is 1.73).
SURE = 0.28
PATCH = 5
MAX_SPECK = 6
MIN_AREA = 0.002
# A perfect circle covers 0.83 of the square of its area, so 0.85 is never the wrong kind.
MIN_OVERLAP = 0.85
CENTRED = 0.125
ATTRIBUTES = ("kind", "colour", "size")
PAIRS = (("left", "right"), ("top", "bottom"))
SIZE_LIMIT = (RADIUS["small"][1] * RADIUS["large"][0]) ** 0.5
RADIUS_RANGE = (0.8 * RADIUS["small"][0], 1.2 * RADIUS["large"][1])

Mask = NDArray[np.bool_]


class Unreadable(ValueError):
    """The picture is not one a caption could describe."""


@dataclass(frozen=True)
class Verdict:
    """What the judge saw, compared with a caption."""

    correct: bool
    seen: Scene | None
    reason: str


def _areas(mask: Mask, joins: NDArray[np.float64] | None = None) -> NDArray[np.int32]:
    """Pixels that hang together by the number of their area; 0 outside of the mask."""
    labelled: Any = ndimage.label(mask, joins)  # a mere count where it is given an output
    return labelled[0]


def _distances(picture: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.float32]:
    """Distance of every pixel to each named colour, (names, H, W)."""
    colours = np.asarray([RGB[name] for name in names], dtype=np.float32) / 255
    return np.stack([np.sqrt(((picture - colour) ** 2).sum(-1)) for colour in colours])


def _radius(kind: str, area: float) -> float:
    """Radius of a shape of this kind that covers an area."""
    half_width, half_height = HALF_EXTENT[kind]
    share = {"circle": np.pi / 4, "square": 1.0, "triangle": 0.5}[kind]
    return float(np.sqrt(area / (4 * half_width * half_height * share)))


def _read_shape(inside: Mask, colour: str) -> Shape:
    """Kind, size and place of one blob in a picture-wide mask.

    The blob is laid over a circle, a square and a triangle of its own area and centre of mass.
    """
    side = len(inside)
    rows, columns = np.nonzero(inside)
    area, centre_x, centre_y = len(rows), columns.mean(), rows.mean()
    y, x = np.indices(inside.shape, dtype=np.float32)
    overlaps, centres = {}, {}
    for kind in KINDS:
        radius = _radius(kind, area)
        # A triangle's centre of mass lies a third of its height above the base.
        box_y = centre_y - (HALF_EXTENT[kind][1] * radius / 3 if kind == "triangle" else 0.0)
        ideal = signed_distance(kind, x - centre_x, y - box_y, radius) <= 0
        overlaps[kind] = float((inside & ideal).sum() / (inside | ideal).sum())
        centres[kind] = (float((centre_x + 0.5) / side), float((box_y + 0.5) / side))
    kind = max(overlaps, key=overlaps.__getitem__)
    if overlaps[kind] < MIN_OVERLAP:
        raise Unreadable(f"a blob is no clear shape (closest: {kind}, {overlaps[kind]:.2f})")
    radius = _radius(kind, area) / side
    if not RADIUS_RANGE[0] <= radius <= RADIUS_RANGE[1]:
        raise Unreadable(f"a {kind} has radius {radius:.3f}, outside what captions can name")
    size = "small" if radius < SIZE_LIMIT else "large"
    return Shape(kind, colour, size, _place(*centres[kind]))


def _place(x: float, y: float) -> str:
    """The name of a place from a box's centre, in fractions of the picture."""
    dx, dy = x - 0.5, y - 0.5
    if max(abs(dx), abs(dy)) <= CENTRED:
        return "centre"
    if abs(dy) <= CENTRED:
        return "left" if dx < 0 else "right"
    if abs(dx) <= CENTRED:
        return "top" if dy < 0 else "bottom"
    raise Unreadable(f"a shape stands in a corner, at ({x:.2f}, {y:.2f})")


def read(picture: NDArray[np.floating]) -> Scene:
    """Scene of a square picture (side, side, 3) in [0, 1]; raises :class:`Unreadable`."""
    picture = np.asarray(picture, dtype=np.float32)
    if picture.ndim != 3 or picture.shape[0] != picture.shape[1] or picture.shape[2] != 3:
        raise ValueError(f"the judge reads square pictures (side, side, 3), not {picture.shape}")
    side = picture.shape[0]
    distances = _distances(picture, GROUNDS + COLOURS)
    nearest = distances.argmin(0)
    sure = distances.min(0) <= SURE
    murky = ndimage.binary_erosion(~sure, np.ones((PATCH, PATCH)))
    if murky.any():
        raise Unreadable("part of the picture has no clear colour")
    share = [int((sure & (nearest == i)).sum()) for i in range(len(GROUNDS))]
    ground = GROUNDS[int(np.argmax(share))]
    if max(share) < 0.3 * side * side:
        raise Unreadable("there is no ground")

    # Smoothed edges pass through other colours, so only colours that fill a patch count.
    solid = [
        name
        for i, name in enumerate(GROUNDS + COLOURS)
        if ndimage.binary_erosion(sure & (nearest == i), np.ones((PATCH, PATCH))).any()
    ]
    strange = [name for name in solid if name in GROUNDS and name != ground]
    if strange:
        raise Unreadable(f"a {strange[0]} patch lies on the {ground} ground")
    colours = tuple(name for name in solid if name in COLOURS)
    labels = _distances(picture, (ground, *colours)).argmin(0)
    grounds = _areas(labels == 0)
    if (np.bincount(grounds.ravel())[1:] > MAX_SPECK).sum() > 1:
        raise Unreadable("the ground shows through a shape")
    shapes = []
    for i, colour in enumerate(colours, start=1):
        blobs = _areas(labels == i, np.ones((3, 3)))
        for number, area in enumerate(np.bincount(blobs.ravel())[1:], start=1):
            if area <= MAX_SPECK:
                continue
            if area < MIN_AREA * side * side:
                raise Unreadable(f"a {colour} speck of {area} pixels")
            shapes.append(_read_shape(blobs == number, colour))
    return _scene(ground, shapes)


def _scene(ground: str, shapes: list[Shape]) -> Scene:
    """Shapes in the order a caption names them; refuses what no caption says."""
    if len(shapes) == 1:
        return Scene(ground, tuple(shapes))
    for ordered in itertools.permutations(shapes):
        if tuple(shape.place for shape in ordered) in PAIRS:
            return Scene(ground, ordered)
    places = ", ".join(shape.place for shape in shapes) or "none"
    raise Unreadable(f"{len(shapes)} shapes (places: {places}) fit no caption")


def judge(picture: NDArray[np.floating], text: str) -> Verdict:
    """Whether a picture (side, side, 3) in [0, 1] shows exactly what a caption says."""
    wanted = parse(text)
    try:
        seen = read(picture)
    except Unreadable as error:
        return Verdict(False, None, str(error))
    if seen.matches(wanted):
        return Verdict(True, seen, "as the caption says")
    return Verdict(False, seen, f"shows {caption(seen)}")


def rates(texts: Sequence[str], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Share of correct pictures with one and with two shapes; and, under "attributes", of pictures
    whose ground, and of wanted shapes whose attribute, is right."""
    right = dict.fromkeys(("readable", "ground", "places", *ATTRIBUTES), 0)
    correct: dict[int, list[bool]] = {}
    for text, verdict in zip(texts, verdicts, strict=True):
        wanted, seen = parse(text), verdict.seen
        correct.setdefault(len(wanted.shapes), []).append(verdict.correct)
        if seen is None:
            continue
        right["readable"] += 1
        right["ground"] += seen.ground == wanted.ground
        by_place = {shape.place: shape for shape in seen.shapes}
        right["places"] += set(by_place) == {shape.place for shape in wanted.shapes}
        for shape in wanted.shapes:
            found = by_place.get(shape.place)
            for name in ATTRIBUTES:
                right[name] += found is not None and getattr(found, name) == getattr(shape, name)
    shapes = sum(number * len(found) for number, found in correct.items())
    by_count = {
        name: float(np.mean(correct[number]))
        for number, name in ((1, "one_shape"), (2, "two_shapes"))
        if number in correct
    }
    attributes = {
        name: round(value / (shapes if name in ATTRIBUTES else len(texts)), 4)
        for name, value in right.items()
    }
    return {**by_count, "attributes": attributes}
