"""The pictures of a run and of a comparison: complete, readable, and as they were."""

from __future__ import annotations

import numpy as np
import pytest
from stepcache.cache_core.report import Report
from stepcache.cache_core.sites import SiteKind
from stepcache.pictures import draw_compare, draw_run, draw_words
from stepcache.pictures.compare import heat
from stepcache.pictures.run import OTHERWISE
from stepcache.pictures.strip import COMPUTED, HATCH, ROW

from pictures import Words, check_readable

SELF = SiteKind.SELF_ATTENTION.value


def report_of(steps: int, kinds: int = 2, done: int | None = None) -> Report:
    """A run that computed every second step, and the third although reuse was planned."""
    names = [kind.value for kind in SiteKind][:kinds]
    plan = "".join("CR"[step % 2] for step in range(steps))
    plans = dict.fromkeys(names, plan)
    report = Report(["Apply PAB (self_attention 2)"], "Wan", "euler", plans, None, {}, [])
    for step in range(steps if done is None else done):
        report.start_evaluation(step, 2**20 * step)
        for name in names:
            is_forced = step == 3
            reused = step % 2 == 1 and not is_forced
            why = "nothing stored yet" if is_forced else None
            report.count(name, step, reused=reused, streams=2, forced=why)
    report.finish("finished", 2**20 * steps, 2**20 * steps)
    return report


@pytest.mark.parametrize("kinds", [0, 1, 2, 8])
@pytest.mark.parametrize("steps", [1, 2, 30, 100, 1000])
def test_words_neither_overlap_nor_leave_the_picture(
    steps: int, kinds: int, written: Words
) -> None:
    picture = draw_run(report_of(steps, kinds))
    check_readable(written, picture)


def test_a_few_sentences_are_readable_too(written: Words) -> None:
    check_readable(written, draw_words("Nothing was reused, and here is why. " * 8))
    assert len(written.words) > 2


def test_cells_are_dark_where_steps_computed_and_marked_where_they_should_not_have() -> None:
    pixels = np.asarray(draw_run(report_of(8, 1)))
    dark = (pixels == COMPUTED).all(-1)
    columns = np.flatnonzero(dark[:, 200:600].any(0)) + 200
    cells = [int((x - 204) // 48) for x in columns]
    assert set(cells) == {0, 2, 3, 4, 6}, "1, 5 and 7 were reused"
    marked = np.flatnonzero((pixels == OTHERWISE).all(-1)[:200, 204:].any(0)) // 48
    assert set(marked.tolist()) == {3}


def test_steps_in_which_nothing_is_asked_are_a_line_and_no_fault(written: Words) -> None:
    plans = {"evaluation": "CCRC", SELF: "CR.C"}
    report = Report(["Step Cache", "Apply PAB"], "Wan", "euler", plans, None, {}, [])
    for kind, plan in plans.items():
        for step, letter in enumerate(plan):
            report.start_evaluation(step)
            if letter != ".":
                report.count(kind, step, reused=letter == "R", streams=2)
    report.finish("finished", 0)
    pixels = np.asarray(draw_run(report))
    assert {"whole steps", "not asked", "reused", "computed"} <= set(written.words)
    assert not (pixels == OTHERWISE).all(-1).any()
    # Both rows compute in their first cell, and the third one of the second row is not asked.
    first_cells = np.flatnonzero((pixels[:, 220] == COMPUTED).all(-1))
    second = first_cells[-ROW:]
    cell = pixels[second[0] : second[-1] + 1, 302:346]
    is_line = (cell == HATCH).all(-1).all(-1)
    assert 1 <= is_line.sum() <= 3
    assert (cell[~is_line] == 255).all()


def test_a_legend_tells_only_of_what_is_there(written: Words) -> None:
    draw_run(report_of(8))
    assert "not asked" not in written.words


def test_it_says_what_the_report_says(written: Words) -> None:
    run = report_of(8)
    run.notes.append("a remark for the reader")
    draw_run(run)
    every = " ".join(written.words)
    for words in ("What the run did", "Apply PAB", "a remark for the reader", "8.0 MiB", "reused"):
        assert words in every
    assert "nothing stored yet" in every


def test_a_run_that_was_stopped_can_be_drawn() -> None:
    run = report_of(20, done=3)
    run.outcome = "interrupted"
    assert draw_run(run).height > 100
    assert draw_run(report_of(20, done=0)).height > 100


@pytest.mark.parametrize("size", [(1, 1), (11, 300), (128, 128), (1080, 1920), (2000, 40)])
def test_two_pictures_of_any_size(size: tuple[int, int], written: Words) -> None:
    plain = np.random.default_rng(0).random((*size, 3))
    picture = draw_compare(plain, plain * 0.9, ("plain", "cached"), ["PSNR 20 dB"])
    assert picture.width >= 3 * 256
    assert written.overlaps() == []
    assert {"plain", "cached", "difference", "PSNR 20 dB"} <= set(written.words)


def test_pictures_stay_as_they_are_and_the_map_shows_the_place() -> None:
    plain = np.full((256, 256, 3), 0.5)
    cached = plain.copy()
    cached[100:120, 30:50] = 1.0
    pixels = np.asarray(draw_compare(plain, cached, ("plain", "cached"), []))
    top, left = 48, 20
    assert (pixels[top : top + 256, left : left + 256] == 128).all()
    second = pixels[top : top + 256, left + 268 : left + 268 + 256]
    assert (second[100:120, 30:50] == 255).all()
    shown = pixels[top : top + 256, left + 536 : left + 536 + 256].astype(int).sum(-1)
    assert (shown[100:120, 30:50] > 600).all()
    assert shown[:90].max() < 10


def test_lighter_is_always_more() -> None:
    colours = heat(np.linspace(0, 1, 200)[None])[0].astype(float)
    brightness = colours @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(brightness) > -0.5).all()
    assert brightness[-1] - brightness[0] > 200


def test_equal_pictures_are_dark_all_over() -> None:
    plain = np.zeros((64, 64, 3))
    assert draw_compare(plain, plain, ("plain", "cached"), []).width > 0
