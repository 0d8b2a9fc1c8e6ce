"""What the runs of a comparison amount to, and how it is written down."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any

from .client import Run
from .measure import psnr, read_picture, ssim

MIN_ROUNDS = 3
MANY_ROUNDS = 9
MAX_SPREAD = 1.25
"""Rounds whose ratios lie further apart tell no speed: most settings here gain less than that."""
TOO_NOISY = "too noisy to tell"
CORRECT = "correct"

HEADINGS = (
    "workflow",
    "seconds",
    "speedup",
    "evals",
    "computed",
    "reused",
    "PSNR dB",
    "SSIM",
    "extra MiB",
    "pictures",
)


@dataclass(slots=True)
class Series:
    """All rounds of one workflow.

    Args:
        name: the workflow's file name without ending.
        plain: the series that it is compared with; None for a plain run.
        runs: one per round, in order.
        failure: why it could not run, in the server's words.
    """

    name: str
    plain: Series | None = None
    runs: list[Run] = field(default_factory=list[Run])
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; None where there is nothing to say.

    Args:
        seconds: median of the sampler's seconds.
        speedup: median over the rounds of plain seconds / own seconds of that round; None where
            they are too few or too scattered.
        noise: why there is no speedup, where there could be one.
        evaluations: calls of the denoiser in a run.
        computed, reused: site evaluations of the last run, all kinds together.
        psnr, ssim: mean over all pictures against the plain picture of the same seed; dB, and
            infinite for equal pictures.
        extra_mib: most that was stored at a time, in MiB.
        verdict: how many pictures of all rounds the demo's judge finds correct.
        nothing_reused_because: the report's words, if a method reused nothing.
        failure: why there is nothing to say, in the server's words.
    """

    workflow: str
    seconds: float | None = None
    speedup: float | None = None
    noise: str | None = None
    evaluations: int | None = None
    computed: int | None = None
    reused: int | None = None
    psnr: float | None = None
    ssim: float | None = None
    extra_mib: float | None = None
    verdict: str | None = None
    nothing_reused_because: str | None = None
    failure: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which has no infinity: equal pictures have PSNR null and SSIM 1."""
        data = asdict(self)
        if self.psnr is not None and math.isinf(self.psnr):
            data["psnr"] = None
        return data


def summarise(series: Series) -> Row:
    """Reduce the rounds of one workflow to medians and means."""
    if not series.runs:
        return Row(series.name, failure=series.failure)
    last = series.runs[-1]
    right, judged = judged_pictures([series])
    report = last.reports[-1] if last.reports else {}
    peak = report.get("peak_bytes")
    row: dict[str, Any] = {}
    if series.plain is not None:
        pairs = list(zip(series.plain.runs, series.runs, strict=False))
        ratios = [plain.sampler_seconds / run.sampler_seconds for plain, run in pairs]
        row["noise"] = _noise(ratios)
        row["speedup"] = None if row["noise"] else median(ratios)
        row["psnr"], row["ssim"] = _likeness(pairs)
    return Row(
        series.name,
        seconds=median(run.sampler_seconds for run in series.runs),
        evaluations=report.get("evaluations", last.steps),
        computed=report.get("computed"),
        reused=report.get("reused"),
        extra_mib=None if peak is None else peak / 2**20,
        verdict=f"{right} of {judged} pictures correct" if judged else None,
        nothing_reused_because=report.get("nothing_reused_because"),
        failure=series.failure,
        **row,
    )


def judged_pictures(series: Iterable[Series]) -> tuple[int, int]:
    """How many pictures the demo's judge finds correct, and how many it saw."""
    verdicts = [verdict for one in series for run in one.runs for verdict in _verdicts(run)]
    return sum(verdict.startswith(CORRECT) for verdict in verdicts), len(verdicts)


def fault_of(series: Series) -> str | None:
    """Why a series of the demo's own models fails: it did not run, or a picture is not judged
    correct. None if all is well."""
    if series.failure is not None or not series.runs:
        return series.failure or "it did not run"
    for run in series.runs:
        verdicts = _verdicts(run)
        if not verdicts or len(verdicts) != len(run.pictures):
            return f"seed {run.seed}: {len(run.pictures)} pictures, {len(verdicts)} judged"
        for verdict in verdicts:
            if not verdict.startswith(CORRECT):
                return f"seed {run.seed}: {verdict}"
    return None


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text; what needs more words stands below the table."""
    cells = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADINGS))]
    lines = [
        "  ".join(
            cell.ljust(width) if i in (0, len(widths) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    for row in rows:
        if row.failure:
            lines.append(f"\n{row.workflow}: {row.failure}")
        elif row.nothing_reused_because:
            lines.append(f"\n{row.workflow} reused nothing: {row.nothing_reused_because}")
    if noisy := [f"{row.workflow} ({row.noise})" for row in rows if row.noise]:
        lines.append(
            f"\nToo noisy to tell a speedup: {', '.join(noisy)}. Close other programs, or ask for "
            f"more rounds with --rounds."
        )
    return "\n".join(lines) + "\n"


def show_psnr(value: float) -> str:
    """Decibels, or "equal" for pictures without a difference."""
    return "equal" if math.isinf(value) else f"{value:.1f}"


def _verdicts(run: Run) -> list[str]:
    """One per picture, "correct, ..." or "wrong, ...": the judge's text below its first line."""
    return [line.split(": ", 1)[1] for text in run.texts for line in text.splitlines()[1:]]


def _noise(ratios: Sequence[float]) -> str | None:
    """Why the ratios of paired rounds tell no speedup; None if they do.

    Of nine rounds or more the middle half counts, of fewer all: a quartile of three rounds is
    hardly one.
    """
    count = f"{len(ratios)} round{'s' if len(ratios) != 1 else ''}"
    if len(ratios) < MIN_ROUNDS:
        return count
    low, high = min(ratios), max(ratios)
    if len(ratios) >= MANY_ROUNDS:
        low, _, high = quantiles(ratios, n=4)
    return f"{count}, {low:.2f}x to {high:.2f}x" if high > MAX_SPREAD * low else None


def _likeness(pairs: Sequence[tuple[Run, Run]]) -> tuple[float, float]:
    decibels: list[float] = []
    similarities: list[float] = []
    for plain, run in pairs:
        for first, second in zip(plain.pictures, run.pictures, strict=True):
            left, right = read_picture(first), read_picture(second)
            decibels.append(psnr(left, right))
            similarities.append(ssim(left, right))
    finite = [value for value in decibels if math.isfinite(value)]
    mean_psnr = sum(finite) / len(finite) if finite else math.inf
    return mean_psnr, sum(similarities) / len(similarities)


def _cells(row: Row) -> tuple[str, ...]:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    return (
        row.workflow,
        number(row.seconds, ".2f"),
        "noisy" if row.noise else "-" if row.speedup is None else f"{row.speedup:.2f}x",
        number(row.evaluations, "d"),
        number(row.computed, "d"),
        number(row.reused, "d"),
        "-" if row.psnr is None else show_psnr(row.psnr),
        number(row.ssim, ".4f"),
        number(row.extra_mib, ".1f"),
        row.verdict or ("failed, see below" if row.failure else "-"),
    )
