"""What a calibration file holds. Strangers share such files, so nothing in them is believed."""

from __future__ import annotations

from typing import Any, cast

from ..schedule_file import shown
from ..sites import MOST_LAYERS, SiteKind, name_of, part_named
from .calibration import Calibration, Costs, ModelFacts, RunFacts
from .checks import (
    Check,
    Misfit,
    count,
    is_number,
    is_text,
    list_of,
    number,
    object_of,
    single,
    table_of,
    text,
    word,
)  # fmt: skip
from .table import ErrorTable, Lags, Place

FORMAT = 1
FORMAT_KEY = "stepcache_calibration"

MOST_ROWS = 2000
MOST_STEPS = 1000
MOST_LOOKAHEAD = 20
LARGEST = 1e100
"""Far beyond any error, and far from where a sum of them overflows."""

_BY_WORD = {kind.value: kind for kind in SiteKind}
_KINDS = f"one of {', '.join(_BY_WORD)}"
_PARTS = f"{_KINDS}, each also with -0, -1, … for one layer"


_MANY = count(1, 10**9)
_LOOKAHEAD = count(1, MOST_LOOKAHEAD)
_SHARES = table_of(part_named, _PARTS, number(0, 1), MOST_ROWS)
_CHANGES = list_of("step", number(0, LARGEST), 0, MOST_STEPS)
_SHIFT = single(
    "null or a number from 0 to 1e+06",
    lambda value: value is None or is_number(value, 0, 1e6),
    lambda value: None if value is None else float(value),
)
_COMPUTES = single(
    "1 (compute) or 0 (reuse)", lambda value: type(value) is int and value in (0, 1), bool
)

_MODEL = object_of({
    "family": text(),
    "network": text(),
    "fingerprint": text(),
    "layers": table_of(_BY_WORD.get, _KINDS, count(0, MOST_LAYERS), len(_BY_WORD)),
})  # fmt: skip

_RUN = object_of(
    {
        "sampler": text(),
        "scheduler": text(),
        "steps": count(2, MOST_STEPS),
        "cfg": number(-1e6, 1e6),
        "latent": list_of("latent size", count(1, 10**9), 1, 8),
        "sigmas": list_of("sigma", number(0, 1e6), 3, MOST_STEPS + 1),
    },
    {"resolution_class": text(), "shift": _SHIFT},
)

_ERRORS = object_of(
    {"kind": word(*_BY_WORD), "lags": list_of("lag", _CHANGES, 1, MOST_LOOKAHEAD, first=1)},
    {"index": count(0, MOST_LAYERS - 1), "branch": word("both", "cond", "uncond")},
)

SCHEMA: Check = object_of(
    {
        "model": _MODEL,
        "run": _RUN,
        "samples": _MANY,
        "runs": _MANY,
        "average": word("per sample", "as the reference"),
        "lookahead_measured": _LOOKAHEAD,
        "errors": list_of("errors", _ERRORS, 1, MOST_ROWS, first=1),
        "alpha": number(0, 1000),
        "lookahead": _LOOKAHEAD,
        "whole": single("true or false", lambda value: isinstance(value, bool), bool),
    },
    {
        "tool": text(),
        "costs": object_of(
            {},
            {
                "device": text(),
                "flops": _SHARES,
                "seconds": _SHARES,
                "keeping": _SHARES,
                "together": number(0, 1),
                "asking": _SHARES,
                "patching": number(0, 1),
            },
        ),
        "influence": table_of(
            lambda key: key if is_text(key) else None,
            "groups of sites, each one line",
            number(0, LARGEST),
            100,
        ),
        "schedule": table_of(
            part_named, _PARTS, list_of("step", _COMPUTES, 2, MOST_STEPS), MOST_ROWS
        ),
    },
)
"""What each key holds. How they hang together is checked by `calibration_of`."""


def calibration_of(found: Any) -> Calibration:
    """The calibration that parsed JSON means.

    Raises:
        Misfit: it means none.
    """
    _check_format(found)
    facts = SCHEMA.read("", "", found)
    run, costs, schedule = facts["run"], facts.get("costs", {}), facts.get("schedule", {})
    steps, lookahead = run["steps"], facts["lookahead_measured"]
    _check_sigmas(run["sigmas"], steps)
    for part, row in schedule.items():
        if len(row) != steps:
            where = f"schedule {shown(name_of(part))}"
            raise Misfit.at(where, f"{len(row)} entries", f"{steps}, one per step")
    return Calibration(
        model=ModelFacts(**facts["model"]),
        run=RunFacts(
            run["sampler"], run["scheduler"], run["cfg"], run["latent"], run.get("shift")
        ),
        table=ErrorTable(run["sigmas"], lookahead, _rows(facts["errors"], steps, lookahead)),
        samples=facts["samples"],
        runs=facts["runs"],
        average=facts["average"],
        costs=Costs(**costs),
        influence=facts.get("influence", {}),
        alpha=facts["alpha"],
        lookahead=facts["lookahead"],
        schedule=tuple((kind, index, row) for (kind, index), row in schedule.items()),
        tool=facts.get("tool", ""),
        is_whole=facts["whole"],
    )  # fmt: skip


def _check_format(found: Any) -> None:
    version = cast("dict[str, Any]", found).get(FORMAT_KEY) if isinstance(found, dict) else None
    if type(version) is not int:
        raise Misfit(
            "is no calibration of Step Cache",
            f"expected an object with {FORMAT_KEY}: {FORMAT}; choose a file that Step Cache saved",
        )
    if version > FORMAT:
        raise Misfit(
            f"is of format {shown(version)}, made by a newer version: update Step Cache",
            f"this one reads format {FORMAT}",
        )
    if version != FORMAT:
        raise Misfit.at(FORMAT_KEY, shown(version), str(FORMAT))


def _check_sigmas(sigmas: tuple[float, ...], steps: int) -> None:
    """Some schedulers stay at a noise level for a step, so that two may be equal."""
    if len(sigmas) != steps + 1:
        expected = f"{steps + 1} for {steps} steps"
        raise Misfit.at("run, sigmas", f"{len(sigmas)} entries", expected)
    for step in range(1, steps + 1):
        if sigmas[step] > sigmas[step - 1]:
            expected = f"falling noise levels, here at most {sigmas[step - 1]:g}"
            raise Misfit.at(f"run, sigma {step}", f"{sigmas[step]:g}", expected)
    if sigmas[0] == sigmas[-1]:
        raise Misfit.at("run, sigmas", f"{sigmas[0]:g} throughout", "falling noise levels")


def _rows(errors: tuple[dict[str, Any], ...], steps: int, lookahead: int) -> dict[Place, Lags]:
    rows: dict[Place, Lags] = {}
    for at, row in enumerate(errors, 1):
        lags = row["lags"]
        place = Place(_BY_WORD[row["kind"]], row.get("index"), row.get("branch", "both"))
        if place in rows:
            first = list(rows).index(place) + 1
            raise Misfit(
                f"is about the same layers at errors {first} and {at}", "keep one of the two"
            )
        if len(lags) != lookahead:
            expected = f"{lookahead}, as lookahead_measured says"
            raise Misfit.at(f"errors {at}, lags", f"{len(lags)} entries", expected)
        for lag, changes in enumerate(lags, 1):
            if len(changes) != max(steps - lag, 0):
                expected = f"{max(steps - lag, 0)} for {steps} steps"
                raise Misfit.at(f"errors {at}, lag {lag}", f"{len(changes)} entries", expected)
        rows[place] = lags
    return rows
