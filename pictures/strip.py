"""The schedule as a strip: what each step computes and what it reuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..cache_core.schedule_file import Rows
from ..cache_core.sites import SiteKind
from .canvas import INK, MUTED, PAPER, Box, Canvas
from .series import in_words, step_marks

COMPUTED = (22, 54, 96)
REUSED = (234, 238, 244)
HATCH = (150, 160, 176)
NAMES, SHARES = 176, 150
"""Room left and right of the cells."""
ROW, GAP = 24, 8
SCALE_HEIGHT = 24
WIDEST = 48
BAND = 140
"""Height that the layers of a kind share; each of them has 8 at most."""
FEW = 2
"""So many layers of a kind have a whole row each."""
SIZE = 14

Flags = tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """Rows under one name.

    Args:
        name: of a kind or a layer.
        detail: words below the name.
        rows: flags of compute, one row per layer.
        height: of all of them.
    """

    name: str
    detail: str
    rows: tuple[Flags, ...]
    height: float

    @property
    def share(self) -> str:
        """How much of it computes."""
        computed, every = sum(map(sum, self.rows)), sum(map(len, self.rows))
        if len(self.rows) == 1:
            return f"{computed} of {every} computed"
        return f"{100 * computed / max(every, 1):.0f} % computed"


class Strip:
    """The bands of a schedule above a scale of steps.

    Args:
        rows: the schedule.
    """

    def __init__(self, rows: Rows) -> None:
        self.bands = [band for kind in SiteKind for band in _bands(kind, rows)]
        self.steps = max((len(compute) for _, _, compute in rows), default=0)

    @property
    def height(self) -> int:
        """Pixels from the first band to the end of the scale."""
        return round(sum(band.height + GAP for band in self.bands)) + SCALE_HEIGHT

    def draw(self, canvas: Canvas, box: Box) -> None:
        """Draw it; of `box` the left, upper and right edge count."""
        left, y, right = box[0] + NAMES, box[1], box[2] - SHARES
        cell = min((right - left) / max(self.steps, 1), WIDEST)
        for band in self.bands:
            middle = y + min(band.height, ROW) / 2
            canvas.text((box[0], middle), band.name, SIZE, INK, "lm")
            if band.height >= 2 * ROW:
                canvas.text((box[0], middle + 18), band.detail, SIZE - 1, MUTED, "lm")
            end = left + cell * self.steps
            canvas.text((end + 14, middle), band.share, SIZE, INK, "lm")
            _draw_cells(canvas, band.rows, (left, y, end, y + band.height), cell)
            if cell >= 4:
                for step in range(1, self.steps):
                    x = left + cell * step
                    canvas.box((x - 0.5, y, x + 0.5, y + band.height), PAPER)
            y += band.height + GAP
        for step in step_marks(self.steps, self.steps * cell / 26):
            canvas.text((left + cell * (step + 0.5), y - 2), f"{step}", SIZE - 1, MUTED, "ma")
        canvas.text((box[0], y - 2), "step", SIZE - 1, MUTED)

    def draw_legend(self, canvas: Canvas, right: float, y: float) -> None:
        """A sample of both kinds of cells, with the middle at `y`."""
        for words, is_computed in (("reused", False), ("computed", True)):
            x = right - canvas.letters.width_of(words, SIZE)
            canvas.text((x, y), words, SIZE, INK, "lm")
            _draw_cells(canvas, ((is_computed,),), (x - 30, y - 9, x - 8, y + 9), 22)
            right = x - 50


def _draw_cells(canvas: Canvas, rows: Sequence[Flags], box: Box, cell: float) -> None:
    """Hatched paper, dark where a step computes."""
    canvas.hatch(box, REUSED, HATCH)
    left, top, _, bottom = box
    edges = [top + (bottom - top) * i / len(rows) for i in range(len(rows) + 1)]
    for i, compute in enumerate(rows):
        for step, is_computed in enumerate(compute):
            if is_computed:
                x = left + cell * step
                canvas.box((x, edges[i], x + cell, edges[i + 1]), COMPUTED)


def _bands(kind: SiteKind, rows: Rows) -> Iterator[Band]:
    """All layers of a kind in one row; single ones beside them, in rows or as one band."""
    whole = [compute for k, index, compute in rows if k is kind and index is None]
    single = sorted((i, compute) for k, i, compute in rows if k is kind and i is not None)
    if whole:
        words = f"other {in_words(kind)}" if single else in_words(kind)
        yield Band(words, "", tuple(whole[:1]), ROW)
    if len(single) <= FEW:
        for index, compute in single:
            yield Band(in_words(kind, index), "", (compute,), ROW)
        return
    height = max(min(BAND / len(single), 8.0) * len(single), ROW)
    detail = f"layers {single[0][0]} to {single[-1][0]}"
    yield Band(in_words(kind), detail, tuple(compute for _, compute in single), height)
