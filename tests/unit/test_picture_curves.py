"""The curves of a calibration: lines, gaps, cuts, thresholds, dots and ticks are at the data."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from stepcache.cache_core.calibration import Place, Target, choose
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.sites import SiteKind
from stepcache.pictures import canvas, draw, series
from stepcache.pictures.axes import LINES, THIN, THRESHOLD, Panel

from pictures import (
    KINDS,
    SELF,
    Words,
    calibration_of,
    case_of,
    chosen_of,
    flat,
    nearest,
    u_shape,
)


def test_lines_run_through_the_data(panels: list[Panel]) -> None:
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
            assert nearest(picture, axes.at(step, change), LINES[number][0], reach) < 40


def test_the_lines_are_those_of_the_run(panels: list[Panel], written: Words) -> None:
    calibration, _ = case_of(30, 3, [SELF])
    chosen = choose(calibration, Timeline(calibration.timeline.sigmas[::2], (None,) * 15,
                    tuple(i / 15 for i in range(15))), Target("alpha", 0.3))  # fmt: skip
    draw(calibration, chosen, "")
    (axes,) = panels
    assert axes.part.lags == chosen.prediction.table.rows[Place(SELF)]
    assert axes.part.compute == chosen.rows[0][2]
    assert " · 30 steps · " in "\n".join(written.words)
    assert any(words.startswith("for 15 steps, threshold 30 %") for words in written.words)


def test_unknown_changes_are_gaps(panels: list[Panel]) -> None:
    row = [0.1] * 19
    row[9], row[10] = math.inf, math.nan
    calibration = calibration_of({Place(SELF): (tuple(row),)}, 20, 1)
    picture = draw(calibration, chosen_of(calibration), "")
    (axes,), blue = panels, LINES[0][0]
    for source in range(19):
        is_gap = source in (9, 10)
        is_drawn = nearest(picture, axes.at(source + 1, 0.1), blue, 1) < 40
        assert is_drawn != is_gap, source


def test_branches_are_thin_lines_of_their_own(panels: list[Panel]) -> None:
    rows = {Place(SELF): flat(20, [0.2]), Place(SELF, None, "cond"): flat(20, [0.3]),
            Place(SELF, None, "uncond"): flat(20, [0.1])}  # fmt: skip
    calibration = calibration_of(rows, 20, 1)
    picture = draw(calibration, chosen_of(calibration), "")
    axes = panels[-1]
    thin = canvas.pale(LINES[0][0], THIN[0])
    for change in (0.3, 0.1):
        x, y = axes.at(10.5, change)
        assert nearest(picture, (x, y), thin, 3) < 40
        assert nearest(picture, (x, y), LINES[0][0], 3) > 40
    calibration = calibration_of({Place(SELF): flat(20, [0.2])}, 20, 1)
    draw(calibration, chosen_of(calibration), "")
    assert panels[-1].part.branches == ()


def test_an_outlier_is_cut_and_named(panels: list[Panel], written: Words) -> None:
    row = (2.13, *([0.1] * 18))
    calibration = calibration_of({Place(SELF): (row,)}, 20, 1)
    picture = draw(calibration, chosen_of(calibration), "")
    (axes,) = panels
    assert axes.end < 0.5
    assert "213 %" in written.words
    x, y = axes.at(1, axes.end)
    assert nearest(picture, (x, y - 9), canvas.INK, 3) < 40, "a triangle above the axes"
    above = (axes.at(1.75, 0)[0], y - 30)
    assert nearest(picture, above, LINES[0][0], 12) > 40, "nothing above the axes"
    assert nearest(picture, axes.at(1.86, axes.end * 0.98), LINES[0][0], 2) < 40


def test_nothing_is_cut_without_an_outlier(panels: list[Panel], written: Words) -> None:
    row = tuple(0.1 + 0.01 * i for i in range(19))
    calibration = calibration_of({Place(SELF): (row,)}, 20, 1)
    draw(calibration, chosen_of(calibration), "")
    assert panels[0].end >= max(row)
    assert "28 %" not in written.words


def test_the_threshold_stands_where_it_applies(panels: list[Panel], written: Words) -> None:
    rows = {Place(kind): flat(20, [0.2]) for kind in (SELF, SiteKind.BLOCK)}
    compute = (True, *([True, True, False] * 6), True)
    calibration = calibration_of(rows, 20, 1)
    picture = draw(calibration, chosen_of(calibration, (SELF, None, compute), alpha=0.15), "")
    found = {axes.part.kind: axes for axes in panels}
    assert written.words.count("threshold 15 %") == 1
    for kind, is_there in ((SELF, True), (SiteKind.BLOCK, False)):
        at = found[kind].at(9.5, 0.15)
        assert (nearest(picture, at, THRESHOLD, 6) < 40) == is_there


def test_a_threshold_above_the_axes_is_named(written: Words) -> None:
    compute = (True, *([True, True, False] * 6), True)
    for kind in (SELF, SiteKind.TEMPORAL_ATTENTION):
        calibration = calibration_of({Place(k): flat(20, [0.2]) for k in KINDS[:7]}, 20, 1)
        draw(calibration, chosen_of(calibration, (kind, None, compute), alpha=30.0), "")
    assert written.words.count("threshold 3000 %, not shown") == 2


def test_reused_steps_are_dots_on_their_lines(panels: list[Panel]) -> None:
    lags = flat(20, [0.1, 0.2])
    compute = tuple(step % 5 not in (3, 4) for step in range(20))
    calibration = calibration_of({Place(SELF): lags}, 20, 2)
    picture = draw(calibration, chosen_of(calibration, (SELF, None, compute), alpha=0.25), "")
    (axes,) = panels
    for step in range(1, 20):
        for lag, colour in ((1, LINES[0][0]), (2, LINES[1][0])):
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
    values = series.ticks(top, most)
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
