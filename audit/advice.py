"""What an audit recommends: estimated first, then tried by whole runs where that says more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch

from .. import torch_settings
from ..cache_core.host import attached, detached, timeline_of
from ..cache_core.report import Report
from . import caches, settings
from .audit import MIN_GAIN, Recommendation
from .interleaved_runs import ENOUGH, Compared, Rounds
from .timing import Timed

MAX_SETTINGS, MAX_CACHES = 2, 2
"""How many are tried by whole runs: of caches the second one if the first saves nothing."""

QUALITY = "Reuses earlier results, so the picture changes: compare with Step Cache Compare Runs."
INSTEAD = "In place of what reuses now."

Offers = dict[str, tuple[caches.Offer, float]]
"""Methods by name, and how much faster than now they are estimated to be; the fastest first."""


def offers(
    model: Any,
    costs: caches.Costs,
    run: Timed,
    report: Report | None,
    suggestions: Iterable[caches.Suggestion],
) -> Offers:
    """Methods that are not attached.

    Args:
        model: as it is audited.
        costs: of its layers.
        run: the audited one.
        report: of it, where methods are attached.
        suggestions: what may be recommended.
    """
    timeline = timeline_of(model.get_model_object("model_sampling"), torch.tensor(run.sigmas))
    now = (report.measured_speedup if report is not None else None) or 1.0
    present = {method.describe() for method in attached(model)}
    others = {
        offer.suggestion.name: (offer, offer.speedup / now)
        for offer in caches.offers(
            detached(model), costs, timeline, suggestions, has_one_branch=not run.has_two_branches
        )
        if offer.suggestion.method.describe() not in present
    }
    return dict(sorted(others.items(), key=lambda item: -item[1][1]))


def estimated(model: Any, found: Offers) -> list[Recommendation]:
    """What is expected of every method; the one that promises most may be recommended."""
    caution = f"{INSTEAD} {QUALITY}" if attached(model) else QUALITY
    how = "estimated from the seconds of each kind of layer"
    return [
        Recommendation(
            offer.suggestion.method.name, offer.suggestion.setting, gain, how, caution, number == 0
        )
        for number, (offer, gain) in enumerate(found.values())
    ]


def measured(
    model: Any,
    rounds: Rounds,
    options: Mapping[str, settings.Option],
    found: Offers,
    lines: list[Recommendation],
) -> list[Recommendation]:
    """The lines after whole runs with those that promise most.

    Settings are tried so only where runs are short: in long ones a few evaluations say enough.
    """
    promising = sorted((each for each in lines if each.is_worth_it), key=lambda each: -each.gain)
    tried = [each.name for each in promising if each.name in options][:MAX_SETTINGS]
    is_short = rounds.count >= ENOUGH
    compared = rounds.against(
        {name: torch_settings.apply(model, options[name].setting) for name in tried if is_short}
    )
    for name, (offer, gain) in list(found.items())[:MAX_CACHES]:
        if gain < MIN_GAIN:
            break
        compared |= rounds.against({name: offer.model})
        if compared[name].gain >= MIN_GAIN:
            break
    return [_with(each, compared.get(each.name), found) for each in lines]


def gained(model: Any, rounds: Rounds) -> float:
    """How many times as fast as without anything of this pack the model is."""
    if not attached(model) and not torch_settings.settings_of(model):
        return 1.0
    bare = torch_settings.without(detached(model))
    (compared,) = rounds.against({"": bare}, in_part="").values()
    return 1.0 / compared.gain


def _with(line: Recommendation, compared: Compared | None, found: Offers) -> Recommendation:
    """What a line says after it was tried."""
    if compared is None:
        return line
    is_sure = compared.is_faster and compared.gain >= MIN_GAIN
    return replace(line, gain=compared.gain, how=compared.how, is_sure=is_sure)
