"""From a calibration to the text of its file. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from ..errors import ConfigError
from ..sites import Part, SiteKind, name_of
from .calibration import Calibration
from .checks import Misfit
from .noise import NoiseChanges
from .schema import FORMAT, FORMAT_KEY, calibration_of, place_in
from .table import Lags, Place

SIZE_LIMIT = 200 * 2**10
"""Bytes. 50 steps, lookahead 3 and 4 kinds of layers have 5 KiB, each further layer has 1."""


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A calibration as it is written.

    Args:
        calibration: rounded, and without single layers if it were too large with them.
        text: of its file: a line per row of errors and schedule, ASCII.
        remarks: for the person.
    """

    calibration: Calibration
    text: str
    remarks: tuple[str, ...]


def lay_out(calibration: Calibration) -> LaidOut:
    """Make the text of a calibration file.

    Raises:
        ConfigError: it is too large, or holds what a calibration cannot hold.
    """
    whole = _rounded(calibration)
    document = _document(whole)
    text = _text(document)
    remarks: tuple[str, ...] = ()
    if len(text) > SIZE_LIMIT:
        whole, remarks = _without_layers(whole, len(text))
        document = _document(whole)
        text = _text(document)
    try:
        calibration_of(document)  # What was measured for an hour must be readable again.
    except Misfit as misfit:
        raise ConfigError(f"the calibration {misfit.found}; {misfit.remedy}") from misfit
    return LaidOut(whole, text, remarks)


def _without_layers(whole: Calibration, size: int) -> tuple[Calibration, tuple[str, ...]]:
    """A calibration whose file of so many bytes is too large, and what was done about it."""
    rows = {place: lags for place, lags in whole.table.rows.items() if not _is_single(place)}
    less = replace(whole, table=replace(whole.table, rows=rows))
    rest = len(_text(_document(less)))
    if not rows or rest > SIZE_LIMIT:
        raise ConfigError(
            f"the calibration has {rest / 2**10:.0f} KiB without its single layers; expected at "
            f"most {SIZE_LIMIT // 2**10}. Calibrate with fewer steps or a shorter lookahead"
        )
    return less, (
        f"the errors of {len(whole.table.rows) - len(rows)} single layers were left out, with "
        f"which the file would have {size / 2**10:.0f} KiB (at most {SIZE_LIMIT // 2**10}): "
        f'schedules of "each layer" cannot be made from it',
    )


def block(brackets: str, lines: Iterable[str]) -> str:
    """An object or a list with one entry per line."""
    inside = ",\n".join(lines)
    return f"{brackets[0]}\n{inside}\n{brackets[1]}" if inside else brackets


def dump(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def _is_single(place: Place) -> bool:
    # Deep branches are cuts through one network: there is no mean of them.
    return place.index is not None and place.kind is not SiteKind.DEEP_BRANCH


def _rounded(calibration: Calibration) -> Calibration:
    table, costs = calibration.table, calibration.costs
    rows = {place: _finite(place, lags) for place, lags in table.rows.items()}
    return replace(
        calibration,
        table=replace(table, rows=rows),
        costs=replace(
            costs,
            flops=_short(costs.flops),
            seconds=_short(costs.seconds),
            keeping=_short(costs.keeping),
            together=_digits(costs.together),
            asking=_short(costs.asking),
            patching=_digits(costs.patching),
        ),
        influence=_short(calibration.influence),
        noise=None if calibration.noise is None else _rounded_noise(calibration.noise),
    )


def _rounded_noise(noise: NoiseChanges) -> NoiseChanges:
    rows = tuple(tuple(_digits(each, 5) for each in row) for row in noise.products)
    return NoiseChanges(tuple(_digits(each, 7) for each in noise.half_log_snrs), rows)


def _finite(place: Place, lags: Lags) -> Lags:
    for lag, row in enumerate(lags, 1):
        for step, error in enumerate(row):
            if not math.isfinite(error):
                which = name_of((place.kind, place.index))
                raise ConfigError(
                    f"the change of {which} from step {step} to step {step + lag} is {error}: NaN "
                    f"activations, or steps that never ran; expected a finite number. Let the run "
                    f"come to its end, and if the picture is black, choose another precision"
                )
    return tuple(tuple(_digits(error) for error in row) for row in lags)


def _short(shares: Mapping[Any, float]) -> dict[Any, float]:
    return {key: _digits(value) for key, value in shares.items()}


def _digits(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


def _document(calibration: Calibration) -> dict[str, Any]:
    model, run, table = calibration.model, calibration.run, calibration.table
    costs = calibration.costs
    document: dict[str, Any] = {
        FORMAT_KEY: FORMAT,
        "tool": calibration.tool,
        "model": {
            "family": model.family,
            "network": model.network,
            "fingerprint": model.fingerprint,
            "layers": {str(kind): count for kind, count in model.layers.items()},
        },
        "run": {
            "sampler": run.sampler,
            "scheduler": run.scheduler,
            "steps": table.steps,
            "cfg": float(run.cfg),
            "latent": list(run.latent),
            "resolution_class": "x".join(map(str, run.latent[1:])),
            "shift": None if run.shift is None else float(run.shift),
            "sigmas": [float(sigma) for sigma in table.sigmas],
        },
        "samples": calibration.samples,
        "runs": calibration.runs,
        "average": calibration.average,
        "lookahead_measured": table.lookahead,
        "errors": [_errors(place, lags) for place, lags in table.rows.items()],
        "costs": {
            "device": costs.device,
            "flops": _named(costs.flops),
            "seconds": _named(costs.seconds),
            "keeping": _named(costs.keeping),
            "together": float(costs.together),
            "asking": _named(costs.asking),
            "patching": float(costs.patching),
        },
        "influence": {name: float(value) for name, value in calibration.influence.items()},
        "alpha": float(calibration.alpha),
        "lookahead": calibration.lookahead,
        "schedule": {
            name_of((kind, index)): [int(flag) for flag in compute]
            for kind, index, compute in calibration.schedule
        },
        "whole": calibration.is_whole,
    }
    if calibration.noise is not None:
        document["noise_changes"] = {
            "half_log_snrs": list(calibration.noise.half_log_snrs),
            "products": [list(row) for row in calibration.noise.products],
        }
    _put_back(document, calibration.unread)
    return document


def _put_back(document: dict[str, Any], unread: Mapping[str, Any]) -> None:
    """Add what was passed over when the file was read."""
    for key, value in unread.items():
        known = document.get(key)
        if isinstance(known, dict):
            _put_back(cast("dict[str, Any]", known), value)
        elif isinstance(known, list):
            rows = cast("list[dict[str, Any]]", known)
            for row in value:
                own = next((each for each in rows if place_in(each) == place_in(row)), None)
                if own is None:
                    rows.append(dict(row))
                else:
                    own.update(row)
        else:
            document[key] = value


def _named(shares: Mapping[Part, float]) -> dict[str, float]:
    return {name_of(part): float(share) for part, share in shares.items()}


def _errors(place: Place, lags: Lags) -> dict[str, Any]:
    return {
        "kind": str(place.kind),
        **({} if place.index is None else {"index": place.index}),
        **({} if place.branch == "both" else {"branch": place.branch}),
        "lags": [list(row) for row in lags],
    }


def _text(document: Mapping[str, Any]) -> str:
    lines = {key: dump(value) for key, value in document.items()}
    lines["errors"] = block("[]", map(dump, document["errors"]))
    rows: Mapping[str, list[int]] = document["schedule"]
    lines["schedule"] = block("{}", (f"{dump(name)}: {dump(row)}" for name, row in rows.items()))
    return block("{}", (f"{dump(key)}: {line}" for key, line in lines.items())) + "\n"
