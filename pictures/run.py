"""What a run did, as a picture: strips, time and memory per step, and what happened otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from ..cache_core.report import Report
from ..cache_core.sites import SiteKind
from .canvas import AXIS, GRID, INK, MUTED, SCALE, Box, Canvas, Colour
from .fonts import Fonts
from .picture import LINE, MARGIN, TEXT_SIZE, TITLE_SIZE, WIDTH
from .series import in_words, step_marks
from .strip import COMPUTED, GAP, HATCH, NAMES, REUSED, ROW, SCALE_HEIGHT, SHARES, SIZE, WIDEST

GRAPH = 64
"""Height of the bars of seconds and of bytes."""
MAX_LINES = 3
MAX_REASONS = 8
HELD = (0, 114, 178)
OTHERWISE = (178, 24, 43)
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the steps stand.

    Args:
        left: of the first step.
        cell: width of one.
        steps: how many.
    """

    left: float
    cell: float
    steps: int

    @property
    def right(self) -> float:
        return self.left + self.cell * self.steps


def draw_run(report: Report) -> Image.Image:
    """The record of a run as a picture of 1024 pixels' width."""
    letters = Fonts(SCALE)
    room = WIDTH - 2 * MARGIN
    header = [
        line
        for words in _header(report)
        for line in letters.wrapped(words, TEXT_SIZE, room, MAX_LINES)
    ]
    reasons = [
        line
        for words in report.reasons[:MAX_REASONS]
        for line in letters.wrapped(words, TEXT_SIZE, room, MAX_LINES)
    ]
    graphs = 2 if report.peak_nbytes else 1
    strips_top = 64 + LINE * len(header) + 44
    graphs_top = strips_top + (ROW + GAP) * len(report.plans) + SCALE_HEIGHT + 12
    reasons_top = graphs_top + graphs * (GRAPH + 30)
    canvas = Canvas(WIDTH, round(reasons_top + LINE * len(reasons) + 24), letters)

    canvas.text((MARGIN, 22), "What the run did", TITLE_SIZE, bold=True)
    for number, words in enumerate(header):
        canvas.text((MARGIN, 64 + LINE * number), words, TEXT_SIZE)
    _draw_legend(canvas, strips_top - 22, "".join(report.plans.values()))
    cell = min((room - NAMES - SHARES) / max(report.steps, 1), WIDEST)
    columns = Columns(MARGIN + NAMES, cell, report.steps)
    _draw_strips(canvas, report, columns, strips_top)
    _draw_bars(canvas, columns, graphs_top, "seconds", _seconds(report), "{:.2f} s", MUTED)
    if graphs == 2:
        top = graphs_top + GRAPH + 30
        _draw_bars(canvas, columns, top, "kept", _mebibytes(report), "{:.1f} MiB", HELD)
    for number, words in enumerate(reasons):
        canvas.text((MARGIN, reasons_top + LINE * number), words, TEXT_SIZE, OTHERWISE)
    return canvas.picture()


def draw_words(words: str) -> Image.Image:
    """A few sentences in place of a run, of the same width."""
    letters = Fonts(SCALE)
    lines = letters.wrapped(words, TEXT_SIZE, WIDTH - 2 * MARGIN, MAX_LINES)
    canvas = Canvas(WIDTH, 2 * MARGIN + LINE * len(lines), letters)
    for number, line in enumerate(lines):
        canvas.text((MARGIN, MARGIN + LINE * number), line, TEXT_SIZE)
    return canvas.picture()


def _header(report: Report) -> list[str]:
    return [report.summary(), *report.speedups, *report.notes]


def _seconds(report: Report) -> list[float]:
    return [report.step_seconds.get(step, 0.0) for step in range(report.steps)]


def _mebibytes(report: Report) -> list[float]:
    return [report.step_nbytes.get(step, 0) / MIB for step in range(report.steps)]


def _draw_strips(canvas: Canvas, report: Report, columns: Columns, top: float) -> None:
    """What every kind did; a mark above a cell where it is not what was planned."""
    for number, (kind, plan) in enumerate(report.plans.items()):
        y = top + (ROW + GAP) * number
        strip = report.strip_of(kind)
        canvas.text((MARGIN, y + ROW / 2), in_words(SiteKind(kind)), SIZE, INK, "lm")
        for step, letter in enumerate(strip):
            x = columns.left + columns.cell * step
            gap = 1.0 if columns.cell >= 4 else 0.0
            if letter != "." or plan[step] == ".":
                _draw_cell(canvas, (x, y, x + columns.cell - gap, y + ROW), letter)
            if letter not in (".", plan[step]):
                canvas.box((x, y - 4, x + columns.cell - gap, y - 1), OTHERWISE)
        computed, reused = report.counts_of(kind)
        share = 100 * reused / max(computed + reused, 1)
        words = f"{share:.0f} % reused" if computed + reused else "not called"
        canvas.text((columns.right + 14, y + ROW / 2), words, SIZE, INK, "lm")
    y = top + (ROW + GAP) * len(report.plans) - 2
    for step in step_marks(columns.steps, columns.steps * columns.cell / 26):
        x = columns.left + columns.cell * (step + 0.5)
        canvas.text((x, y), f"{step}", SIZE - 1, MUTED, "ma")
    canvas.text((MARGIN, y), "step", SIZE - 1, MUTED)


def _draw_cell(canvas: Canvas, box: Box, letter: str) -> None:
    """Dark what is computed, hatched what is reused, both where some of each; a line where nothing
    is asked, because the whole step is reused."""
    left, top, right, bottom = box
    if letter == ".":
        middle = (top + bottom) / 2
        canvas.box((left, middle - 1, right, middle + 1), HATCH)
    if letter in "RP":
        canvas.hatch(box, REUSED, HATCH)
    if letter in "CP":
        canvas.box((left, top if letter == "C" else (top + bottom) / 2, right, bottom), COMPUTED)


def _draw_legend(canvas: Canvas, y: float, planned: str) -> None:
    right = WIDTH - MARGIN
    samples = (("reused", "R"), ("partly", "P"), ("computed", "C"))
    for words, letter in (("not asked", "."), *samples) if "." in planned else samples:
        x = right - canvas.letters.width_of(words, SIZE)
        canvas.text((x, y), words, SIZE, INK, "lm")
        _draw_cell(canvas, (x - 30, y - 9, x - 8, y + 9), letter)
        right = x - 50


def _draw_bars(
    canvas: Canvas,
    columns: Columns,
    top: float,
    name: str,
    values: Sequence[float],
    unit: str,
    colour: Colour,
) -> None:
    """One bar per step, as high as its share of the highest."""
    highest = max(values, default=0.0)
    bottom = top + GRAPH
    canvas.text((MARGIN, bottom - SIZE / 2), name, SIZE, INK, "lm")
    canvas.box((columns.left, top, columns.right, top + 1), GRID)
    canvas.box((columns.left, bottom, columns.right, bottom + 1), AXIS)
    canvas.text((columns.right + 14, top), unit.format(highest), SIZE, INK, "lm")
    gap = 1.0 if columns.cell >= 4 else 0.0
    for step, value in enumerate(values):
        x = columns.left + columns.cell * step
        height = GRAPH * value / highest if highest else 0.0
        canvas.box((x, bottom - height, x + columns.cell - gap, bottom), colour)
