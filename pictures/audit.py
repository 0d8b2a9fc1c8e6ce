"""Where the time of a run goes, as a picture, with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image

from .canvas import GRID, INK, MUTED, SCALE, Canvas, Colour
from .fonts import Fonts, percent, shown
from .picture import HEAD_SIZE, LINE, MARGIN, TEXT_SIZE, TITLE_SIZE, WIDTH
from .strip import SIZE

STACK = 34
"""Height of the bar of all parts."""
BAR, BESIDE = 16, 26
"""Height of a single bar, and distance of two."""
NAMES = 250
MAX_BARS = 6
MAX_LINES = 4
MODEL: Colour = (0, 114, 178)
COLOURS: tuple[Colour, ...] = (MODEL, (213, 94, 0), (0, 158, 115), (40, 42, 48))
"""Of the parts; told apart without a red or green cone too, and named beside the bar."""


def draw_audit(
    headline: str,
    advised: Sequence[str],
    parts: Mapping[str, float],
    bars: Mapping[str, Mapping[str, float]],
    notes: Sequence[str],
) -> Image.Image:
    """An audit as a picture of 1024 pixels' width.

    Args:
        headline: what was audited.
        advised: what to do.
        parts: shares of the run's time, together 1.
        bars: shares 0 … 1 by name, under a title each; what is empty is left out.
        notes: everything else.
    """
    letters = Fonts(SCALE)
    room = WIDTH - 2 * MARGIN

    def wrapped(lines: Sequence[str]) -> list[str]:
        return [
            part for line in lines for part in letters.wrapped(line, TEXT_SIZE, room, MAX_LINES)
        ]

    head, advice, rest = wrapped([headline]), wrapped(advised), wrapped(notes)
    groups = {title: list(each.items())[:MAX_BARS] for title, each in bars.items() if each}
    height = 64 + LINE * (len(head) + len(advice) + len(rest)) + 3 * 44 + STACK + 40
    height += sum(44 + BESIDE * len(each) for each in groups.values())
    canvas = Canvas(WIDTH, height, letters)
    canvas.text((MARGIN, 22), "Where the time goes", TITLE_SIZE, bold=True)
    y = _lines(canvas, 64, head, INK)
    y = _title(canvas, y, "What to do")
    y = _lines(canvas, y, advice, INK)
    y = _title(canvas, y, "The run")
    y = _stack(canvas, y, parts)
    for title, each in groups.items():
        y = _title(canvas, y, title)
        y = _bars(canvas, y, each)
    y = _title(canvas, y, "Besides")
    _lines(canvas, y, rest, INK)
    return canvas.picture()


def _title(canvas: Canvas, y: float, words: str) -> float:
    canvas.text((MARGIN, y + 14), words, HEAD_SIZE, bold=True)
    return y + 44


def _lines(canvas: Canvas, y: float, lines: Sequence[str], colour: Colour) -> float:
    for number, words in enumerate(lines):
        canvas.text((MARGIN, y + LINE * number), words, TEXT_SIZE, colour)
    return y + LINE * len(lines)


def _stack(canvas: Canvas, y: float, parts: Mapping[str, float]) -> float:
    """All parts side by side, and a legend that says how large each is."""
    x, room = float(MARGIN), WIDTH - 2 * MARGIN
    beside = float(MARGIN)
    for (name, share), colour in zip(parts.items(), COLOURS, strict=False):
        end = x + room * max(share, 0.0)
        canvas.box((x, y, max(end - 1, x), y + STACK), colour)
        x = end
        words = f"{name} {percent(round(share, 3))}"
        canvas.box((beside, y + STACK + 11, beside + 14, y + STACK + 25), colour)
        canvas.text((beside + 20, y + STACK + 18), words, SIZE, INK, "lm")
        beside += 20 + canvas.letters.width_of(words, SIZE) + 28
    return y + STACK + 34


def _bars(canvas: Canvas, y: float, bars: Sequence[tuple[str, float]]) -> float:
    left, right = MARGIN + NAMES, WIDTH - MARGIN - 70
    for number, (name, share) in enumerate(bars):
        top = y + BESIDE * number
        words = canvas.letters.fitted(
            shown(name.removeprefix("aten::").replace("_", " ")), SIZE, NAMES - 12
        )
        canvas.text((MARGIN, top + BAR / 2), words, SIZE, INK, "lm")
        canvas.box((left, top, right, top + BAR), GRID)
        end = left + (right - left) * min(max(share, 0.0), 1.0)
        canvas.box((left, top, end, top + BAR), MODEL)
        canvas.text((right + 12, top + BAR / 2), percent(round(share, 3)), SIZE, MUTED, "lm")
    return y + BESIDE * len(bars)
