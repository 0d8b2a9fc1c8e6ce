"""The picture of a calibration: everything on it is there, readable, and where it belongs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont
from stepcache.cache_core.calibration import (
    Calibration,
    Chosen,
    Costs,
    ErrorTable,
    Lags,
    ModelFacts,
    Place,
    Prediction,
    RunFacts,
    Wish,
    choose,
)
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.sites import SiteKind
from stepcache.nodes.picture import canvas, draw, letters, panel, parts, strip, to_image

KINDS = tuple(SiteKind)
SELF = SiteKind.SELF_ATTENTION
HOSTILE = (
    "",
    "x" * 100_000,
    "name \x00\x07\n\t with\r\x1b[31m control",
    "\u202eright to left \u05e2\u05d1\u05e8\u05d9\u05ea \u0645\u0631\u062d\u0628\u0627",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467" * 30,
    "a" + "\u0301" * 500,
    "\ud800 lone surrogate",
    "\ufdfa" * 400,
)

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
    shares = {(kind, None): 0.8 / len(kinds) for kind in kinds}
    found = Calibration(
        model=ModelFacts("UNet", "UNetModel", "print", dict.fromkeys(kinds, 16)),
        run=RunFacts("euler", "simple", 7.5, (4, 64, 64)),
        table=table,
        samples=8,
        costs=Costs(shares, shares, "cpu"),
        lookahead=lookahead,
    )
    return replace(found, **changes)


def chosen_of(
    calibration: Calibration, *rows: tuple[SiteKind, int | None, tuple[bool, ...]], **changes: Any
) -> Chosen:
    return replace(Chosen(rows, 0.1, 3, Prediction(1.1, None, 0.01, calibration.table)), **changes)


def case_of(
    steps: int, lookahead: int, kinds: Sequence[SiteKind], layers: int = 0
) -> tuple[Calibration, Chosen]:
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
    wish = Wish("alpha", 0.15, lookahead, "each layer" if layers else "layers")
    return calibration, choose(calibration, calibration.timeline, wish)


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


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Words:
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


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list[panel.Panel]:
    """The panels that were drawn."""
    found: list[panel.Panel] = []
    plain = panel.Panel.draw

    def record(self: panel.Panel) -> None:
        found.append(self)
        plain(self)

    monkeypatch.setattr(panel.Panel, "draw", record)
    return found


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


# Every shape of calibration.


@pytest.mark.parametrize("layers", [0, 3, 40])
@pytest.mark.parametrize("lookahead", [1, 3, 8])
@pytest.mark.parametrize("steps", [2, 3, 20, 50, 100])
def test_words_neither_overlap_nor_leave_the_picture(
    steps: int, lookahead: int, layers: int, written: Words
) -> None:
    lookahead = min(lookahead, steps - 1)
    picture = draw(*case_of(steps, lookahead, KINDS, layers), "A title")
    assert picture.width == 1024
    assert written.overlaps() == []
    assert min(written.sizes) >= 13
    for words, (left, top, right, bottom) in zip(written.words, written.boxes, strict=True):
        is_inside = left >= 0 and top >= 0 and right <= 1024 and bottom <= picture.height
        assert is_inside, words


@pytest.mark.parametrize("count", range(1, 9))
def test_every_kind_has_its_panel(count: int, written: Words) -> None:
    kinds = KINDS[-count:]
    draw(*case_of(12, 2, kinds), "")
    names = {parts.in_words(kind, 1 if kind is SiteKind.DEEP_BRANCH else None) for kind in kinds}
    assert names <= set(written.words)
    assert written.overlaps() == []


def test_more_parts_than_panels_are_counted(written: Words) -> None:
    rows = {Place(SiteKind.DEEP_BRANCH, i): u_shape(10, 2) for i in range(12)}
    rows[Place(SELF)] = u_shape(10, 2)
    calibration = calibration_of(rows, 10, 2)
    draw(calibration, chosen_of(calibration, (SELF, None, (True,) * 9 + (False,))), "")
    shown = [word for word in written.words if word.startswith("deep branch")]
    assert shown == [f"deep branch {i}" for i in (0, 2, 4, 6, 7, 9, 11)]
    assert "5 more parts not shown" in " ".join(written.words)


def test_more_distances_than_lines_are_spread() -> None:
    calibration, chosen = case_of(30, 16, [SELF])
    (part,), _ = parts.parts_of(calibration, chosen.rows)
    assert len(part.distances) == 8
    assert (part.distances[0], part.distances[-1]) == (1, 16)
    draw(calibration, chosen, "")


def test_the_same_twice() -> None:
    case = case_of(20, 3, KINDS)
    assert draw(*case, "one").tobytes() == draw(*case, "one").tobytes()
    assert draw(*case, "one").tobytes() != draw(*case, "two").tobytes()


# Words.


def test_the_header_says_what_the_run_was(written: Words) -> None:
    calibration, chosen = case_of(20, 3, [SELF])
    prediction = replace(chosen.prediction, speedup=1.52, flop_bound=1.6, error=0.021)
    chosen = replace(chosen, prediction=prediction, notes=("a remark",))
    draw(replace(calibration, is_whole=False), chosen, "Title", {"speedup": "1.47×"})
    text = "\n".join(written.words)
    assert (
        "UNet (UNetModel) · euler · simple · 20 steps · cfg 7.5 · latent 4 x 64 x 64 · 8 samples"
        in text
    )
    assert "1.52x faster (1.60x by FLOPs), 2.1 % error per step" in text
    assert "threshold 15 %, reuses" in text
    assert "speedup 1.47x" in text
    assert "a remark" in text
    assert "interrupted" in text


def test_without_costs_no_speed_is_claimed(written: Words) -> None:
    calibration, chosen = case_of(20, 3, [SELF])
    draw(replace(calibration, costs=Costs()), chosen, "")
    assert any(words.startswith("speed not known") for words in written.words)
    assert not any("faster" in words for words in written.words)


def test_a_strip_says_how_much_is_computed(written: Words) -> None:
    compute = tuple(step % 5 < 3 for step in range(30))
    calibration = calibration_of({Place(SELF): u_shape(30, 3)}, 30, 3)
    draw(calibration, chosen_of(calibration, (SELF, None, compute)), "")
    assert "18 of 30 computed" in written.words
    assert "threshold 10 %, reuses at most 2 steps in a row" in written.words
    for step in range(0, 30, 5):
        assert written.words.count(f"{step}") == 2, "below the panel and below the strip"


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_words_like_others(name: str, written: Words) -> None:
    calibration, chosen = case_of(10, 2, [SELF])
    model = replace(calibration.model, family=name, network=name)
    run = replace(calibration.run, sampler=name, scheduler=name, latent=(10**30,) * 50)
    calibration = replace(calibration, model=model, run=run)
    notes = (name, name, name, name, name, name)
    picture = draw(calibration, replace(chosen, notes=notes), name, {name: name})
    assert written.overlaps() == []
    assert max(box[2] for box in written.boxes) <= 1024
    assert picture.height < 1500
    assert all(set(words) <= {*map(chr, range(32, 127)), *"·°±…"} for words in written.words)


def test_letters_lose_accents_and_keep_their_place() -> None:
    assert letters.shown("Élan × 1.5 — “naïve” \u202e\x00σ") == 'Elan x 1.5 - "naive" sigma'
    assert letters.shown("日本") == "??"


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.15, "15 %"), (0.1234, "12.3 %"), (0.0, "0 %"), (2.13, "213 %"), (12.345, "1234 %"),
     (math.inf, "unknown"), (math.nan, "unknown"), (0.00012, "0.012 %")],
)  # fmt: skip
def test_percent(share: float, words: str) -> None:
    assert letters.percent(share) == words


@pytest.mark.parametrize("width", [20, 90, 300])
def test_fitted_and_wrapped_words_are_no_wider(width: int) -> None:
    font = letters.Letters(canvas.SCALE)
    words = "some words and onethatisverymuchlongerthanalltheothersare and more of them " * 3
    assert font.width_of(font.fitted(words, 15, width), 15) <= width
    lines = font.wrapped(words, 15, width, 4)
    assert len(lines) == 4
    assert max(font.width_of(line, 15) for line in lines) <= width
    assert lines[-1].endswith("…")
    assert font.wrapped("short", 15, 300, 4) == ["short"]
    assert font.wrapped("", 15, 300, 4) == []


def test_an_old_pillow_draws_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bitmap = ImageFont.load_default_imagefont()

    def load_default() -> ImageFont.ImageFont:
        return bitmap

    monkeypatch.setattr(ImageFont, "load_default", load_default)
    case = case_of(20, 3, KINDS)
    one, other = draw(*case, "A title …"), draw(*case, "")
    title = np.asarray(one)[20:54, 20:400]
    assert (title < 100).sum() > 500, "there are letters"
    assert one.tobytes() != other.tobytes()


# Lines.


def flat(steps: int, changes: Sequence[float]) -> Lags:
    return tuple((change,) * (steps - lag) for lag, change in enumerate(changes, 1))


def test_lines_run_through_the_data(panels: list[panel.Panel]) -> None:
    lags = u_shape(20, 3)
    calibration = calibration_of({Place(SELF): lags}, 20, 3)
    picture = draw(calibration, chosen_of(calibration), "")
    (axes,) = panels
    for number, row in enumerate(lags):
        shown = [(s + number + 1, change) for s, change in enumerate(row) if change <= axes.end]
        assert len(shown) > 12
        for step, change in shown:
            # A dashed line may have a gap there, the next dash is near.
            reach = 4 if number else 1
            assert nearest(picture, axes.at(step, change), panel.LINES[number][0], reach) < 40


def test_the_lines_are_those_of_the_run(panels: list[panel.Panel], written: Words) -> None:
    calibration, _ = case_of(30, 3, [SELF])
    chosen = choose(calibration, Timeline(calibration.timeline.sigmas[::2], (None,) * 15,
                    tuple(i / 15 for i in range(15))), Wish("alpha", 0.3))  # fmt: skip
    draw(calibration, chosen, "")
    (axes,) = panels
    assert axes.part.lags == chosen.prediction.table.rows[Place(SELF)]
    assert axes.part.compute == chosen.rows[0][2]
    assert " · 30 steps · " in "\n".join(written.words)
    assert any(words.startswith("for 15 steps, threshold 30 %") for words in written.words)


def test_unknown_changes_are_gaps(panels: list[panel.Panel]) -> None:
    row = [0.1] * 19
    row[9], row[10] = math.inf, math.nan
    calibration = calibration_of({Place(SELF): (tuple(row),)}, 20, 1)
    picture = draw(calibration, chosen_of(calibration), "")
    (axes,), blue = panels, panel.LINES[0][0]
    for source in range(19):
        is_gap = source in (9, 10)
        is_drawn = nearest(picture, axes.at(source + 1, 0.1), blue, 1) < 40
        assert is_drawn != is_gap, source


def test_branches_are_thin_lines_of_their_own(panels: list[panel.Panel]) -> None:
    rows = {Place(SELF): flat(20, [0.2]), Place(SELF, None, "cond"): flat(20, [0.3]),
            Place(SELF, None, "uncond"): flat(20, [0.1])}  # fmt: skip
    calibration = calibration_of(rows, 20, 1)
    picture = draw(calibration, chosen_of(calibration), "")
    axes = panels[-1]
    thin = canvas.pale(panel.LINES[0][0], panel.THIN[0])
    for change in (0.3, 0.1):
        x, y = axes.at(10.5, change)
        assert nearest(picture, (x, y), thin, 3) < 40
        assert nearest(picture, (x, y), panel.LINES[0][0], 3) > 40
    calibration = calibration_of({Place(SELF): flat(20, [0.2])}, 20, 1)
    draw(calibration, chosen_of(calibration), "")
    assert panels[-1].part.branches == ()


def test_an_outlier_is_cut_and_named(panels: list[panel.Panel], written: Words) -> None:
    row = (2.13, *([0.1] * 18))
    calibration = calibration_of({Place(SELF): (row,)}, 20, 1)
    picture = draw(calibration, chosen_of(calibration), "")
    (axes,) = panels
    assert axes.end < 0.5
    assert "213 %" in written.words
    x, y = axes.at(1, axes.end)
    assert nearest(picture, (x, y - 9), canvas.INK, 3) < 40, "a triangle above the axes"
    above = (axes.at(1.75, 0)[0], y - 30)
    assert nearest(picture, above, panel.LINES[0][0], 12) > 40, "nothing above the axes"
    assert nearest(picture, axes.at(1.86, axes.end * 0.98), panel.LINES[0][0], 2) < 40


def test_nothing_is_cut_without_an_outlier(panels: list[panel.Panel], written: Words) -> None:
    row = tuple(0.1 + 0.01 * i for i in range(19))
    calibration = calibration_of({Place(SELF): (row,)}, 20, 1)
    draw(calibration, chosen_of(calibration), "")
    assert panels[0].end >= max(row)
    assert "28 %" not in written.words


def test_the_threshold_stands_where_it_applies(panels: list[panel.Panel], written: Words) -> None:
    rows = {Place(kind): flat(20, [0.2]) for kind in (SELF, SiteKind.BLOCK)}
    compute = (True, *([True, True, False] * 6), True)
    calibration = calibration_of(rows, 20, 1)
    picture = draw(calibration, chosen_of(calibration, (SELF, None, compute), alpha=0.15), "")
    found = {axes.part.kind: axes for axes in panels}
    assert written.words.count("threshold 15 %") == 1
    for kind, is_there in ((SELF, True), (SiteKind.BLOCK, False)):
        at = found[kind].at(9.5, 0.15)
        assert (nearest(picture, at, panel.THRESHOLD, 6) < 40) == is_there


def test_a_threshold_above_the_axes_is_named(written: Words) -> None:
    compute = (True, *([True, True, False] * 6), True)
    for kind in (SELF, SiteKind.TEMPORAL_ATTENTION):
        calibration = calibration_of({Place(k): flat(20, [0.2]) for k in KINDS[:7]}, 20, 1)
        draw(calibration, chosen_of(calibration, (kind, None, compute), alpha=30.0), "")
    assert written.words.count("threshold 3000 %, not shown") == 2


def test_reused_steps_are_dots_on_their_lines(panels: list[panel.Panel]) -> None:
    lags = flat(20, [0.1, 0.2])
    compute = tuple(step % 5 not in (3, 4) for step in range(20))
    calibration = calibration_of({Place(SELF): lags}, 20, 2)
    picture = draw(calibration, chosen_of(calibration, (SELF, None, compute), alpha=0.25), "")
    (axes,) = panels
    for step in range(1, 20):
        for lag, colour in ((1, panel.LINES[0][0]), (2, panel.LINES[1][0])):
            x, y = axes.at(step, lags[lag - 1][0])
            # Above and below the line there is colour only where there is a dot.
            is_dot = nearest(picture, (x, y - 2), colour, 0) < 60
            assert is_dot == (step % 5 == 2 + lag), (step, lag)


@pytest.mark.parametrize("change", [0.0, 1e-30, 1e-9, 1e9, 1e300, math.inf, math.nan])
def test_any_number_can_be_drawn(change: float, written: Words) -> None:
    rows = {Place(SELF): flat(10, [change, change])}
    calibration = calibration_of(rows, 10, 2)
    chosen = chosen_of(calibration, (SELF, None, (True,) * 9 + (False,)), alpha=change)
    prediction = replace(chosen.prediction, speedup=change, flop_bound=change, error=change)
    draw(calibration, replace(chosen, prediction=prediction), "")
    assert written.overlaps() == []
    assert ("nothing was measured" in written.words) != math.isfinite(change)


@pytest.mark.parametrize("most", [5, 6])
@pytest.mark.parametrize("top", [1e-9, 0.011, 0.15, 0.6, 0.99, 1.0, 1.01, 3.3, 1e6])
def test_ticks_are_three_to_six_from_zero(top: float, most: int) -> None:
    values = parts.ticks(top, most)
    assert 3 <= len(values) <= most
    assert values[0] == 0
    assert top * (1 - 1e-6) <= values[-1] <= 2.5 * top


def test_long_numbers_below_the_axes_leave_each_other_room(written: Words) -> None:
    calibration, _ = case_of(40, 3, KINDS)
    sigmas = tuple(1.2345e-6 * (40 - i) for i in range(41))
    calibration = replace(calibration, table=replace(calibration.table, sigmas=sigmas))
    draw(calibration, chosen_of(calibration), "")
    assert "4.94e-05" in written.words
    assert written.overlaps() == []


# Colours.


def test_all_words_have_contrast(written: Words) -> None:
    draw(*case_of(20, 3, KINDS), "Title", {"speed": "1"})
    assert canvas.INK in written.colours and panel.THRESHOLD in written.colours
    for colour in set(written.colours):
        assert contrast(colour, canvas.PAPER) >= 4.5, colour


def test_lines_are_told_apart_by_everyone() -> None:
    colours = [colour for colour, _, _ in panel.LINES]
    for one, other in combinations(colours[:4], 2):
        assert distance(one, other) >= 30, (one, other)
    for one, other in combinations(colours, 2):
        assert distance(one, other) >= 20, (one, other)
    for colour in colours:
        assert contrast(colour, canvas.PAPER) >= 3, colour
    shapes = {(width >= 2, dash) for _, width, dash in panel.LINES}
    assert len(shapes) == len(panel.LINES), "by dash or width too, in grey"


def test_the_measure_of_colours_sees_a_bad_pair() -> None:
    assert distance((200, 90, 0), (130, 125, 0)) < 20, "much alike without green cones"


def test_reused_cells_differ_in_light_and_are_hatched() -> None:
    compute = tuple(step % 2 == 0 for step in range(10))
    paper = canvas.Canvas(800, 100, letters.Letters(canvas.SCALE))
    band = strip.Strip(((SELF, None, compute),))
    band.draw(paper, (0, 10, 800, 100))
    pixels = np.asarray(paper.picture(), dtype=np.float64)
    cell = min((800 - strip.NAMES - strip.SHARES) / 10, strip.WIDEST)
    for step, is_computed in enumerate(compute):
        left = round(strip.NAMES + step * cell)
        inside = pixels[12 : 8 + strip.ROW, left + 3 : left + round(cell) - 3].reshape(-1, 3)
        dark = np.array([luminance(colour) < 0.1 for colour in inside])
        lines = np.array([0.2 < luminance(colour) < 0.6 for colour in inside])
        if is_computed:
            assert dark.all()
        else:
            assert not dark.any()
            assert 0.08 < lines.mean() < 0.5, "hatched"
            assert contrast(inside.mean(axis=0), strip.COMPUTED) >= 4.5


def test_layers_share_a_band_in_their_order() -> None:
    rows = tuple((SELF, i, (True, i < 20, True)) for i in (*range(20, 40), *range(20)))
    bands = strip.Strip(rows).bands
    assert [band.name for band in bands] == ["self attention"]
    assert [row[1] for row in bands[0].rows] == [True] * 20 + [False] * 20
    assert bands[0].detail == "layers 0 to 39"
    assert bands[0].share == "83 % computed"
    assert bands[0].height <= strip.BAND


def test_a_kind_and_a_layer_of_it_have_a_row_each() -> None:
    rows = ((SELF, 3, (True, True)), (SELF, None, (True, False)))
    names = [band.name for band in strip.Strip(rows).bands]
    assert names == ["other self attention", "self attention 3"]


# The way into ComfyUI.


def test_an_image_as_comfyui_wants_it() -> None:
    picture = draw(*case_of(20, 3, [SELF]), "Title")
    image = to_image(picture)
    assert image.shape == (1, picture.height, 1024, 3)
    assert image.dtype == torch.float32
    assert (image.min() >= 0) and (image.max() == 1)
    assert torch.equal((image[0] * 255).round().byte(), torch.tensor(np.asarray(picture)))
