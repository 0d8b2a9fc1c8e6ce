"""One pair of axes: how what a part of the model returns changes along a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .canvas import AXIS, GRID, INK, MUTED, Box, Canvas, Colour, Dash, Point, pale
from .fonts import percent
from .series import Part, pieces, step_marks, ticks

LEFT, RIGHT = 64, 92
ABOVE, BELOW = 44, 54
"""Room around the axes: numbers, names of lines, title and cut marks, steps and sigmas."""
SMALL = 13
BESIDE = 15
"""Distance of the names of two lines."""

LINES: tuple[tuple[Colour, float, Dash], ...] = (
    ((0, 114, 178), 2.4, ()),
    ((213, 94, 0), 2.2, (9, 3)),
    ((0, 158, 115), 2.2, (4, 2.5)),
    ((40, 42, 48), 1.8, (9, 2.5, 2, 2.5)),
    ((40, 40, 225), 1.6, (1.8, 2.4)),
    ((96, 48, 0), 1.4, ()),
    ((0, 0, 90), 1.4, (14, 4)),
    ((100, 100, 240), 1.4, (6, 3, 1.5, 3, 1.5, 3)),
)
"""Of the 1st, 2nd, … distance: told apart by colour, without a red or green cone too, and by dash.

Blue, vermilion and green are those of Okabe and Ito, https://jfly.uni-koeln.de/color/."""
THRESHOLD = (122, 0, 60)
DASHED = (7.0, 4.0)
THIN = (0.55, 1.1)
"""Share of the colour and width of the lines of single branches."""


@dataclass
class Panel:
    """Axes on a canvas.

    Args:
        canvas: what it is drawn on.
        box: left, top, right and bottom of everything, names included.
        part: whose changes.
        sigmas: noise levels of the run.
        alpha: threshold of the schedule.
    """

    canvas: Canvas
    box: Box
    part: Part
    sigmas: Sequence[float]
    alpha: float
    _inner: Box = field(init=False)
    _top: float = field(init=False)
    end: float = field(init=False)
    _cut: list[tuple[float, float]] = field(init=False, default_factory=list[tuple[float, float]])

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box
        self._inner = (left + LEFT, top + ABOVE, right - RIGHT, bottom - BELOW)
        self._top = self.part.top
        if self.part.is_scheduled and self._top < self.alpha <= 1.8 * self._top:
            self._top = 1.06 * self.alpha
        self._top = self._top if self._top > 1e-12 else 0.01
        self.end = ticks(self._top, 6 if bottom - top > 250 else 5)[-1]

    def draw(self) -> None:
        """Title, axes, lines, threshold."""
        self._draw_axes()
        distances = self.part.distances
        for number, distance in reversed(list(enumerate(distances))):
            colour = LINES[number][0]
            if number == 0 or len(distances) <= 3:
                for lags, dots in zip(self.part.branches, ((), (1.5, 2.5)), strict=False):
                    thin = pale(colour, THIN[0])
                    self._draw_line(lags[distance - 1], distance, thin, THIN[1], dots)
        for number, distance in reversed(list(enumerate(distances))):
            row = self.part.lags[distance - 1]
            self._draw_line(row, distance, *LINES[number])
            high = enumerate(row, distance)
            self._cut += [(step, value) for step, value in high if self.end < value < math.inf]
        self._draw_reused()
        self._draw_names()
        self._draw_cuts()
        self._draw_title(self._draw_threshold() if self.part.is_scheduled else self.box[2])
        if not distances:
            left, top, right, bottom = self._inner
            middle = ((left + right) / 2, (top + bottom) / 2)
            self.canvas.text(middle, "nothing was measured", 14, MUTED, "mm")

    def at(self, step: float, change: float) -> Point:
        """Where a change at a step stands on the canvas."""
        left, top, right, bottom = self._inner
        x = left + step / (len(self.sigmas) - 2) * (right - left)
        return x, bottom - min(max(change, 0.0), 2 * self.end) / self.end * (bottom - top)

    def _draw_title(self, end: float) -> None:
        left, top = self.box[:2]
        name, count = self.part.name, self.part.layers
        self.canvas.text((left + LEFT, top + 2), name, 16, INK, bold=True)
        if count > 1:
            x = left + LEFT + self.canvas.letters.width_of(name, 16) + 12
            words = f"mean of {count} {'blocks' if name == 'block' else 'layers'}"
            if x + self.canvas.letters.width_of(words, SMALL) + 8 < end:
                self.canvas.text((x, top + 5), words, SMALL, MUTED)

    def _draw_axes(self) -> None:
        left, top, right, bottom = self._inner
        for value in ticks(self._top, 6 if self.box[3] - self.box[1] > 250 else 5):
            y = round(self.at(0, value)[1])
            self.canvas.box((left, y, right, y + 1), GRID)
            self.canvas.text((left - 8, y), percent(value), SMALL, MUTED, "rm")
        taken = -math.inf
        for step in step_marks(len(self.sigmas) - 1, (right - left) / 40):
            x = self.at(step, 0)[0]
            self.canvas.box((round(x), top, round(x) + 1, bottom), GRID)
            self.canvas.box((round(x), bottom, round(x) + 1, bottom + 4), AXIS)
            self.canvas.text((x, bottom + 6), f"{step}", SMALL, MUTED, "ma")
            words = f"{self.sigmas[step]:.3g}"
            half = self.canvas.letters.width_of(words, SMALL) / 2
            if x - half > taken:
                self.canvas.text((x, bottom + 22), words, SMALL, MUTED, "ma")
                taken = x + half + 8
        beside = max(right + 12, taken)
        self.canvas.text((beside, bottom + 6), "step", SMALL, MUTED)
        self.canvas.text((beside, bottom + 22), "sigma", SMALL, MUTED)
        self.canvas.box((left, bottom, right + 1, bottom + 1), AXIS)

    def _draw_line(
        self, row: Sequence[float], distance: int, colour: Colour, width: float, dash: Dash
    ) -> None:
        """The changes over one distance, at the step that would reuse."""
        values = [(source + distance, change) for source, change in enumerate(row)]
        for piece in pieces(values, self.end):
            points = [self.at(*value) for value in piece]
            if len(points) == 1:
                self.canvas.dot(points[0], width, colour, rim=0)
            self.canvas.path(points, colour, width, dash)

    def _draw_reused(self) -> None:
        """A dot on the line of its distance for every step that reuses."""
        compute, source = self.part.marked, 0
        radius = 3.2 if len(compute) <= 36 else 2.4
        for step, is_computed in enumerate(compute):
            source = step if is_computed else source
            distance = step - source
            if distance in self.part.distances:
                change = self.part.lags[distance - 1][source]
                colour = LINES[self.part.distances.index(distance)][0]
                if change <= self.end:
                    self.canvas.dot(self.at(step, change), radius, colour)

    def _draw_names(self) -> None:
        """The distance of every line at its right end."""
        _, top, right, bottom = self._inner
        ends: list[tuple[float, float, int]] = []
        for number, distance in enumerate(self.part.distances):
            row = self.part.lags[distance - 1]
            last = max(i for i, change in enumerate(row) if math.isfinite(change))
            x, y = self.at(last + distance, min(row[last], self.end))
            ends.append((y, x, number))
        ends.sort(key=lambda end: (end[0], -end[2]))
        places = _apart([y for y, _, _ in ends], BESIDE, (top, bottom - 4))
        for (y, x, number), place in zip(ends, places, strict=True):
            colour = LINES[number][0]
            distance = self.part.distances[number]
            if x < right - 1:
                self.canvas.path([(x, y), (right, y)], pale(colour, 0.5), 1, (1, 3))
            self.canvas.path([(right + 4, y), (right + 13, place)], pale(colour, 0.5), 1)
            words = f"{distance}" if number else f"after {distance} step{'s'[: distance > 1]}"
            self.canvas.text((right + 16, place), words, SMALL, INK, "lm")

    def _draw_cuts(self) -> None:
        """How high the line goes where it leaves the panel."""
        left, top, right, _ = self._inner
        taken: list[tuple[float, float]] = []
        for step, change in sorted(self._cut, key=lambda cut: -cut[1]):
            words = percent(change)
            width = self.canvas.letters.width_of(words, SMALL) + 12
            x = min(max(self.at(step, 0)[0] - 5, left), right - width)
            if any(x < end + 10 and start - 10 < x + width for start, end in taken):
                continue
            taken.append((x, x + width))
            self.canvas.triangle((x + 5, top - 6), 9, INK)
            self.canvas.text((x + 13, top - 10), words, SMALL, INK, "lm")

    def _draw_threshold(self) -> float:
        """The line, and its name beside the title: where that begins."""
        left, _, right, _ = self._inner
        words = f"threshold {percent(self.alpha)}"
        if self.alpha > self.end:
            words = f"{words}, not shown"
        elif math.isfinite(self.alpha):
            y = self.at(0, self.alpha)[1]
            self.canvas.path([(left, y), (right, y)], THRESHOLD, 1.6, DASHED)
        y, x = self.box[1] + 11, self.box[2] - 4
        self.canvas.text((x, y), words, SMALL, THRESHOLD, "rm")
        x -= self.canvas.letters.width_of(words, SMALL) + 8
        self.canvas.path([(x - 25, y), (x, y)], THRESHOLD, 1.6, DASHED)
        return x - 25


def _apart(wanted: Sequence[float], distance: float, room: tuple[float, float]) -> list[float]:
    """Places near the wanted ones, rising, each `distance` from the next."""
    low, high = room
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + distance if places else low))
    if places:
        places[-1] = min(places[-1], high)
    for i in range(len(places) - 2, -1, -1):
        places[i] = min(places[i], places[i + 1] - distance)
    return places
