"""Puts a calibration, its schedule and what follows from it on one picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from PIL import Image

from ..cache_core.calibration import Calibration, Selection
from ..cache_core.schedule_file import Rows
from .axes import Panel
from .canvas import INK, MUTED, SCALE, Canvas
from .fonts import Fonts, percent, shown
from .series import Part, parts_of
from .strip import Strip

WIDTH, MARGIN = 1024, 28
LABELS = 92
"""Room left of the header's lines for what they are about."""
TITLE_SIZE, HEAD_SIZE, TEXT_SIZE, SMALL_SIZE = 24, 18, 15, 14
LINE = 21
HEIGHTS = {1: 340, 2: 262, 3: 224}
"""Height of a panel, by the number of panels above each other."""
LOWEST = 208
MAX_NOTES = 4
LONGEST_NAME = 260


def draw(
    calibration: Calibration,
    chosen: Selection,
    title: str,
    measured: Mapping[str, str] | None = None,
) -> Image.Image:
    """A calibration and a schedule as a picture of 1024 pixels' width.

    Args:
        calibration: what was measured.
        chosen: the schedule, and the changes that it rests on.
        title: headline; what cannot be drawn in it is left out.
        measured: what a run with the schedule showed, by name.
    """
    letters = Fonts(SCALE)
    table = chosen.prediction.table
    parts, unshown = parts_of(replace(calibration, table=table), chosen.rows)
    header = list(_header(letters, calibration, chosen, measured or {}))
    explained = letters.wrapped(
        _explained(parts, unshown, table.lookahead), SMALL_SIZE, WIDTH - 2 * MARGIN, 3
    )
    strip = Strip(chosen.rows)
    columns = min(len(parts), 2)
    rows = -(-len(parts) // 2)
    each = HEIGHTS.get(rows, LOWEST)

    panels_top = 64 + LINE * len(header) + 14 + 30 + 19 * len(explained) + 10
    strip_top = panels_top + rows * each + 6 + 36
    height = strip_top + (strip.height if strip.bands else LINE) + 16
    canvas = Canvas(WIDTH, height, letters)

    room = WIDTH - 2 * MARGIN
    headline = letters.fitted(title, TITLE_SIZE, room) or shown(calibration.model.family)
    canvas.text((MARGIN, 22), headline, TITLE_SIZE, bold=True)
    for i, line in enumerate(header):
        y = 64 + LINE * i
        canvas.text((MARGIN, y), line.label, TEXT_SIZE, MUTED)
        canvas.text((MARGIN + LABELS, y), line.words, TEXT_SIZE, INK, bold=line.is_bold)
    y = 64 + LINE * len(header) + 14
    canvas.text((MARGIN, y), "How much the layers change", HEAD_SIZE, bold=True)
    for i, words in enumerate(explained):
        canvas.text((MARGIN, y + 28 + 19 * i), words, SMALL_SIZE, MUTED)
    wide = (room + 8) / max(columns, 1)
    for i, part in enumerate(parts):
        left, top = MARGIN + i % 2 * wide, panels_top + i // 2 * each
        box = (left, top, left + wide - 8, top + each)
        Panel(canvas, box, part, table.sigmas, chosen.alpha).draw()
    y = strip_top - 36
    canvas.text((MARGIN, y), "The schedule", HEAD_SIZE, bold=True)
    if strip.bands:
        strip.draw_legend(canvas, WIDTH - MARGIN, y + 11)
        strip.draw(canvas, (MARGIN, strip_top, WIDTH - MARGIN, height))
    else:
        canvas.text((MARGIN, strip_top), "none: every step computes", TEXT_SIZE, MUTED)
    return canvas.picture()


def draw_schedule(rows: Rows, title: str) -> Image.Image:
    """A schedule of which nothing was measured, as a strip of 1024 pixels' width."""
    letters, strip = Fonts(SCALE), Strip(rows)
    top = 96
    height = round(top + strip.height + 16)
    canvas = Canvas(WIDTH, height, letters)
    headline = letters.fitted(title, TITLE_SIZE, WIDTH - 2 * MARGIN)
    canvas.text((MARGIN, 22), headline, TITLE_SIZE, bold=True)
    strip.draw_legend(canvas, WIDTH - MARGIN, top - 25)
    strip.draw(canvas, (MARGIN, top, WIDTH - MARGIN, height))
    return canvas.picture()


def to_image(picture: Image.Image) -> torch.Tensor:
    """A picture as ComfyUI's IMAGE.

    Shapes:
        1 × height × width × 3, float32, 0 … 1.
    """
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255.0
    return torch.as_tensor(pixels)[None]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the header."""

    label: str
    words: str
    is_bold: bool


def _header(
    letters: Fonts, calibration: Calibration, chosen: Selection, measured: Mapping[str, str]
) -> Iterator[Line]:
    found = ", ".join(f"{name} {value}" for name, value in list(measured.items())[:12])
    notes = list(chosen.notes)
    if not calibration.is_whole:
        notes.insert(0, "the calibrating run was interrupted: only a part of it was measured")
    if len(notes) > MAX_NOTES:
        notes[MAX_NOTES - 1 :] = [f"and {len(notes) - MAX_NOTES + 1} more remarks"]
    for label, words, most in (
        ("model", _run(letters, calibration), 2),
        ("schedule", _schedule(calibration, chosen), 2),
        ("predicted", _prediction(calibration, chosen), 1),
        ("measured", found, 2),
        *(("note", note, 3) for note in notes),
    ):
        lines = letters.wrapped(words, TEXT_SIZE, WIDTH - 2 * MARGIN - LABELS, most)
        is_bold = label in ("predicted", "measured")
        for i, line in enumerate(lines):
            yield Line("" if i else label, line, is_bold)


def _run(letters: Fonts, calibration: Calibration) -> str:
    """Model and run in words, no name longer than a part of a line."""
    model, run = calibration.model, calibration.run
    family, network, sampler, scheduler = (
        letters.fitted(name, TEXT_SIZE, LONGEST_NAME)
        for name in (model.family, model.network, run.sampler, run.scheduler)
    )
    names = [family] if network in family else [f"{family} ({network})"]
    shift = [] if run.shift is None else [f"shift {run.shift:g}"]
    count = calibration.samples
    return " · ".join([
        *names,
        sampler,
        scheduler,
        f"{calibration.table.steps} steps",
        f"cfg {run.cfg:g}",
        *shift,
        f"latent {' x '.join(map(str, run.latent))}",
        f"{count} sample{'s'[: count != 1]}",
    ])  # fmt: skip


def _schedule(calibration: Calibration, chosen: Selection) -> str:
    steps = chosen.prediction.table.steps
    threshold = f"threshold {percent(chosen.alpha)}"
    if steps != calibration.table.steps:
        threshold = f"for {steps} steps, {threshold}"
    runs = [
        sum(1 for _ in same)
        for _, _, compute in chosen.rows
        for is_computed, same in groupby(compute)
        if not is_computed
    ]
    if not runs:
        return f"{threshold}: nothing is reused"
    most = max(runs)
    words = "never reuses 2" if most == 1 else f"reuses at most {most}"
    return f"{threshold}, {words} steps in a row"


def _prediction(calibration: Calibration, chosen: Selection) -> str:
    prediction, costs = chosen.prediction, calibration.costs
    bound = prediction.flop_bound
    by_flops = f" ({bound:.2f}× by FLOPs)" if bound else ""
    is_known = costs.flops or costs.seconds
    speed = f"{prediction.speedup:.2f}× faster{by_flops}" if is_known else "speed not known"
    return f"{speed}, {percent(prediction.error)} error per step"


def _explained(parts: list[Part], unshown: int, lookahead: int) -> str:
    """How the panels are to be read."""
    distance = {1: "1 step", 2: "1 or 2 steps"}.get(lookahead, f"1 to {lookahead} steps")
    words = [
        f"Each line compares what the layers return at a step with what they returned {distance} "
        f"before: low where reusing is harmless. Step 0 is the noisiest."
    ]
    if any(part.marked for part in parts):
        words.append("Dots are the steps that reuse.")
    if any(part.branches for part in parts):
        words.append("Thin lines are with the prompt, thin dotted ones without.")
    if unshown:
        words.append(f"{unshown} more {'part' if unshown == 1 else 'parts'} not shown.")
    return " ".join(words)
