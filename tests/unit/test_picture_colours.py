"""The colours of a calibration's picture and the cells of its strip are told apart by everyone."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from stepcache.pictures import axes, canvas, draw, fonts, strip

from pictures import KINDS, SELF, Words, case_of, contrast, distance, luminance


def test_all_words_have_contrast(written: Words) -> None:
    draw(*case_of(20, 3, KINDS), "Title", {"speed": "1"})
    assert canvas.INK in written.colours and axes.THRESHOLD in written.colours
    for colour in set(written.colours):
        assert contrast(colour, canvas.PAPER) >= 4.5, colour


def test_lines_are_told_apart_by_everyone() -> None:
    colours = [colour for colour, _, _ in axes.LINES]
    for one, other in combinations(colours[:4], 2):
        assert distance(one, other) >= 30, (one, other)
    for one, other in combinations(colours, 2):
        assert distance(one, other) >= 20, (one, other)
    for colour in colours:
        assert contrast(colour, canvas.PAPER) >= 3, colour
    shapes = {(width >= 2, dash) for _, width, dash in axes.LINES}
    assert len(shapes) == len(axes.LINES), "by dash or width too, in grey"


def test_the_measure_of_colours_sees_a_bad_pair() -> None:
    assert distance((200, 90, 0), (130, 125, 0)) < 20, "much alike without green cones"


def test_reused_cells_differ_in_light_and_are_hatched() -> None:
    compute = tuple(step % 2 == 0 for step in range(10))
    paper = canvas.Canvas(800, 100, fonts.Fonts(canvas.SCALE))
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
