"""What a calibration file holds. Strangers share such files, so nothing in them is believed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, cast

from ..schedule_file import shown
from ..sites import MAX_LAYERS, SiteKind, name_of, part_named
from .calibration import Calibration, Costs, ModelFacts, RunFacts
from .checks import (
    Check,
    Misfit,
    count,
    is_number,
    is_text,
    is_writable,
    list_of,
    number,
    object_of,
    single,
    table_of,
    text,
    word,
)  # fmt: skip
from .noise import MAX_LEVELS as MAX_NOISE_LEVELS
from .noise import NoiseChanges
from .table import ErrorTable, Lags, Place

FORMAT = 1
FORMAT_KEY = "stepcache_calibration"

MAX_ROWS = 2000
MAX_KINDS = 100
MAX_STEPS = 1000
MAX_LOOKAHEAD = 20
MAX_LEVELS = 40
"""Of what is only passed on."""
LARGEST = 1e100
"""Far beyond any error, and far from where a sum of them overflows."""

FARTHEST = 100.0
"""Beyond any log(alpha / sigma), the power of which is a number."""

_BY_WORD = {kind.value: kind for kind in SiteKind}
_BRANCHES = ("both", "cond", "uncond")

_MANY = count(1, 10**9)
_LOOKAHEAD = count(1, MAX_LOOKAHEAD)
_SHARES = table_of(part_named, number(0, 1), MAX_ROWS)
_CHANGES = list_of("step", number(0, LARGEST), 0, MAX_STEPS)
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
    "layers": table_of(_BY_WORD.get, count(0, MAX_LAYERS), MAX_KINDS),
})  # fmt: skip

_RUN = object_of(
    {
        "sampler": text(),
        "scheduler": text(),
        "steps": count(2, MAX_STEPS),
        "cfg": number(-1e6, 1e6),
        "latent": list_of("latent size", count(1, 10**9), 1, 8),
        "sigmas": list_of("sigma", number(0, 1e6), 3, MAX_STEPS + 1),
    },
    {"resolution_class": text(), "shift": _SHIFT},
)

_PRODUCTS = list_of("product", number(-1e12, 1e12), 1, MAX_NOISE_LEVELS)
_NOISE = object_of({
    "half_log_snrs": list_of("level", number(-FARTHEST, FARTHEST), 3, MAX_NOISE_LEVELS + 1),
    "products": list_of("row", _PRODUCTS, 1, MAX_NOISE_LEVELS, first=1),
})  # fmt: skip

_ERRORS = object_of(
    {"kind": word(*_BY_WORD), "lags": list_of("lag", _CHANGES, 1, MAX_LOOKAHEAD, first=1)},
    {"index": count(0, MAX_LAYERS - 1), "branch": word(*_BRANCHES)},
)


def _is_known(row: Any) -> bool:
    """Whether a row of errors is about what this version knows; what is no row is refused."""
    facts = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
    kind, branch = facts.get("kind"), facts.get("branch")
    is_newer = (isinstance(kind, str) and kind not in _BY_WORD) or (
        isinstance(branch, str) and branch not in _BRANCHES
    )
    return not is_newer


def place_in(row: dict[str, Any]) -> dict[str, Any]:
    """The keys of a row of errors that say which one it is."""
    return {key: row[key] for key in ("kind", "index", "branch") if key in row}


SCHEMA: Check = object_of(
    {
        "model": _MODEL,
        "run": _RUN,
        "samples": _MANY,
        "runs": _MANY,
        "average": text(),
        "lookahead_measured": _LOOKAHEAD,
        "errors": list_of("errors", _ERRORS, 1, MAX_ROWS, 1, _is_known, place_in),
        "alpha": number(0, 1000),
        "lookahead": _LOOKAHEAD,
        "whole": single("true or false", lambda value: isinstance(value, bool), bool),
    },
    {
        FORMAT_KEY: count(FORMAT, FORMAT),
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
            number(0, LARGEST),
            100,
        ),
        "schedule": table_of(part_named, list_of("step", _COMPUTES, 2, MAX_STEPS), MAX_ROWS),
        "noise_changes": _NOISE,
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
        noise=_noise(facts["noise_changes"]) if "noise_changes" in facts else None,
        is_whole=facts["whole"],
        unread=_unread(found),
    )  # fmt: skip


def _unread(found: Any) -> dict[str, Any]:
    """What a later version has written, to be written again as it is."""
    unread: dict[str, Any] = SCHEMA.rest(found)
    level: list[Any] = [unread]
    for _ in range(MAX_LEVELS):
        if not all(isinstance(each, (dict, list)) or is_writable(each) for each in level):
            break
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return unread
    raise Misfit(
        "has a number beyond all, or values nested too deeply, where this version knows no keys",
        "choose a file that Step Cache saved",
    )


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()


def _check_format(found: Any) -> None:
    version = cast("dict[str, Any]", found).get(FORMAT_KEY) if isinstance(found, dict) else None
    if type(version) is not int:
        raise Misfit(
            "is no calibration of Step Cache",
            f"expected an object with {FORMAT_KEY}: {FORMAT}; choose a file that Step Cache saved",
        )
    if version > FORMAT:
        raise Misfit(
            f"is of format {shown(version)}, made by a newer version of Step Cache",
            f"this one reads format {FORMAT}: update Step Cache, or calibrate again",
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


def _noise(found: dict[str, Any]) -> NoiseChanges:
    levels, rows = found["half_log_snrs"], found["products"]
    if len(rows) != len(levels) - 2:
        expected = f"{len(levels) - 2} for {len(levels)} half_log_snrs"
        raise Misfit.at("noise_changes, products", f"{len(rows)} entries", expected)
    for at, row in enumerate(rows, 1):
        if len(row) != len(rows) + 1 - at:
            where = f"noise_changes, row {at}"
            raise Misfit.at(where, f"{len(row)} entries", f"{len(rows) + 1 - at}")
    for at, (before, after) in enumerate(pairwise(levels), 1):
        if after < before:
            expected = f"rising ones, here at least {before:g}"
            raise Misfit.at(f"noise_changes, level {at}", f"{after:g}", expected)
    return NoiseChanges(levels, rows)


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
