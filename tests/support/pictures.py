"""What pictures of calibrations are tested with: cases, measures of colours, records of drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont
from stepcache.cache_core.calibration import (
    Calibration,
    Costs,
    ErrorTable,
    Lags,
    ModelFacts,
    Part,
    Place,
    Prediction,
    RunFacts,
    Selection,
    Target,
    choose,
)
from stepcache.cache_core.methods.calibrate import MEASURED
from stepcache.cache_core.sites import SiteKind
from stepcache.pictures import axes, canvas

KINDS = MEASURED
SELF = SiteKind.SELF_ATTENTION

DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)
PROTANOPIA = (
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
)
"""Of linear RGB. Source: Machado, Oliveira and Fernandes 2009, severity 1.0."""
TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))


# Calibrations and what was chosen of them.


def u_shape(steps: int, lookahead: int, scale: float = 0.1) -> Lags:
    """Changes as they are measured: large at first, small in the middle, larger at the end."""

    def change(source: int) -> float:
        at = source / max(steps - 2, 1)
        return scale * (0.4 + 3 * math.exp(-8 * at) + 1.5 * math.exp(-8 * (1 - at)))

    return tuple(
        tuple(lag**0.8 * change(source) for source in range(steps - lag))
        for lag in range(1, lookahead + 1)
    )


def calibration_of(
    rows: dict[Place, Lags], steps: int, lookahead: int, **changes: Any
) -> Calibration:
    table = ErrorTable(tuple(14.6 * (1 - i / steps) for i in range(steps + 1)), lookahead, rows)
    kinds = {place.kind for place in rows}
    shares: dict[Part, float] = {(kind, None): 0.8 / len(kinds) for kind in kinds}
    found = Calibration(
        model=ModelFacts("UNet", "UNetModel", "print", dict.fromkeys(kinds, 16)),
        run=RunFacts("euler", "simple", 7.5, (4, 64, 64)),
        table=table,
        samples=8,
        costs=Costs(shares, shares, "cpu"),
        influence={},
        lookahead=lookahead,
    )
    return replace(found, **changes)


def chosen_of(
    calibration: Calibration, *rows: tuple[SiteKind, int | None, tuple[bool, ...]], **changes: Any
) -> Selection:
    return replace(
        Selection(rows, 0.1, 3, Prediction(1.1, None, 0.01, calibration.table)), **changes
    )


def case_of(
    steps: int, lookahead: int, kinds: Sequence[SiteKind], layers: int = 0
) -> tuple[Calibration, Selection]:
    rows: dict[Place, Lags] = {}
    for kind in kinds:
        if kind is SiteKind.DEEP_BRANCH:
            rows[Place(kind, 1)] = u_shape(steps, lookahead)
            continue
        rows[Place(kind)] = u_shape(steps, lookahead)
        rows[Place(kind, None, "cond")] = u_shape(steps, lookahead, 0.12)
        rows[Place(kind, None, "uncond")] = u_shape(steps, lookahead, 0.08)
        for i in range(layers):
            rows[Place(kind, i)] = u_shape(steps, lookahead, 0.05 + 0.1 * i / layers)
    calibration = calibration_of(rows, steps, lookahead)
    if not set(kinds) - {SiteKind.DEEP_BRANCH, SiteKind.GUIDANCE, SiteKind.BLOCK}:
        return calibration, chosen_of(calibration)
    target = Target("alpha", 0.15, lookahead, "each layer" if layers else "layers")
    return calibration, choose(calibration, calibration.timeline, target)


def flat(steps: int, changes: Sequence[float]) -> Lags:
    return tuple((change,) * (steps - lag) for lag, change in enumerate(changes, 1))


# What was drawn.


class Words:
    """What was written on the pictures: words, size, colour and the box they fill."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.sizes: list[int] = []
        self.colours: list[canvas.Colour] = []
        self.boxes: list[canvas.Box] = []

    def overlaps(self) -> list[tuple[str, str]]:
        every = zip(self.words, self.boxes, strict=True)
        return [
            (one, other)
            for (one, a), (other, b) in combinations(every, 2)
            if min(a[2], b[2]) - max(a[0], b[0]) > 0 and min(a[3], b[3]) - max(a[1], b[1]) > 0
        ]


def check_readable(written: Words, picture: Image.Image) -> None:
    """Words neither overlap, nor leave the picture, nor are too small to read."""
    assert picture.width == 1024
    assert written.overlaps() == []
    assert min(written.sizes) >= 13
    for words, (left, top, right, bottom) in zip(written.words, written.boxes, strict=True):
        is_inside = left >= 0 and top >= 0 and right <= 1024 and bottom <= picture.height
        assert is_inside, words


def record_words(monkeypatch: pytest.MonkeyPatch) -> Words:
    """The words that are written from now on."""
    found, text = Words(), canvas.Canvas.text

    def record(
        self: canvas.Canvas, at: Any, words: str, size: int, colour: Any = canvas.INK,
        anchor: str = "la", bold: bool = False,
    ) -> None:  # fmt: skip
        font = self.letters.font(size)
        assert isinstance(font, ImageFont.FreeTypeFont)
        left, top, right, bottom = (
            edge / canvas.SCALE for edge in font.getbbox(words, anchor=anchor)
        )
        found.words.append(words)
        found.sizes.append(size)
        found.colours.append(colour)
        found.boxes.append((at[0] + left, at[1] + top, at[0] + right + 0.6 * bold, at[1] + bottom))
        text(self, at, words, size, colour, anchor, bold)

    monkeypatch.setattr(canvas.Canvas, "text", record)
    return found


def record_panels(monkeypatch: pytest.MonkeyPatch) -> list[axes.Panel]:
    """The panels that are drawn from now on."""
    found: list[axes.Panel] = []
    plain = axes.Panel.draw

    def record(self: axes.Panel) -> None:
        found.append(self)
        plain(self)

    monkeypatch.setattr(axes.Panel, "draw", record)
    return found


# Colours.


def linear(colour: Sequence[float]) -> np.ndarray:
    share = np.asarray(colour, dtype=np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def luminance(colour: Sequence[float]) -> float:
    return float(linear(colour) @ np.array(TO_XYZ[1]))


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def lab(light: np.ndarray) -> np.ndarray:
    xyz = np.array(TO_XYZ) @ np.clip(light, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: canvas.Colour, other: canvas.Colour) -> float:
    """The least CIELAB distance that anyone sees, with all cones or without one of two kinds."""
    eyes = (np.eye(3), np.array(DEUTERANOPIA), np.array(PROTANOPIA))
    return min(
        float(np.linalg.norm(lab(eye @ linear(one)) - lab(eye @ linear(other)))) for eye in eyes
    )


def nearest(picture: Image.Image, at: canvas.Point, colour: canvas.Colour, reach: int) -> float:
    """How near to a colour the pixels around a point come."""
    x, y = round(at[0] - 0.5), round(at[1] - 0.5)
    pixels = np.asarray(picture, dtype=np.float64)
    around = pixels[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
    return float(np.abs(around - np.array(colour)).max(axis=2).min())
