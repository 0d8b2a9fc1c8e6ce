"""What is measured when. Sites are probed: how much their change matters to the network's output.

Sensing is one more call of the network in which a group of sites answers with what it returned one
step before.
"""

from __future__ import annotations

from collections.abc import Container, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from ...calibration import ErrorTable
from ...calibration.groups import ATTENTION, LAYERS, deep_group, places_of
from ...rules import Rule
from ...sites import Part, Site, SiteKind, part_of

MIN_STEPS_TO_SENSE = 10
"""A group takes two steps, one to keep its values and one to answer with them."""

MAX_SENSING = 0.03
"""Evaluations that probing may add, as a share of the run's."""

SENSED_BRANCHES = 3
"""Deep branches that are probed. The deeper the cut, the more a call costs."""

SENSING_FROM, SENSING_TO = 0.3, 0.8
"""The part of a run in which groups of sites are probed, one after the other."""

TIMED_STEPS = 8
"""Steps in which parts are timed, spread over the run: every look at a clock takes time too."""


def probing_steps(
    assigned: Mapping[Site, Rule], steps: int, shares: Mapping[Part, float]
) -> dict[int, tuple[str, frozenset[Site]]]:
    """At which step which group of sites is probed.

    Args:
        shares: of the operations of one evaluation; what is left of it is what probing costs.
    """
    if steps < MIN_STEPS_TO_SENSE:
        return {}
    left = MAX_SENSING * steps
    chosen: list[tuple[str, frozenset[Site]]] = []
    for name, sites in _groups(assigned):
        parts = {part_of(site) for site in sites}
        cost = max(1 - sum(shares.get(part, 0.0) for part in parts), 0.0)
        if cost <= left:
            left -= cost
            chosen.append((name, sites))
    return {
        round(steps * (SENSING_FROM + (SENSING_TO - SENSING_FROM) * number / len(chosen))): group
        for number, group in enumerate(chosen)
    }


def timed_steps(steps: int, others: Container[int]) -> frozenset[int]:
    """The steps in which parts are timed.

    Args:
        steps: of the run. The first one is none of them, as memory is asked for in it.
        others: steps that are none either.
    """
    free = [step for step in range(1, steps) if step not in others]
    count = min(TIMED_STEPS, len(free))
    return frozenset(free[number * len(free) // count] for number in range(count))


@contextmanager
def same_draws(device: torch.device) -> Generator[None]:
    """Let the run draw what it would have drawn without this: token merging draws in every call."""
    module: Any = getattr(torch, device.type, None)
    where = () if device.type == "mps" else (device,)
    has_own = device.type != "cpu" and hasattr(module, "get_rng_state")
    drawn, own = torch.get_rng_state(), module.get_rng_state(*where) if has_own else None
    try:
        yield
    finally:
        torch.set_rng_state(drawn)
        if has_own:
            module.set_rng_state(own, *where)


def _groups(assigned: Mapping[Site, Rule]) -> list[tuple[str, frozenset[Site]]]:
    """Groups of sites that methods reuse together, what is cheap to probe first."""
    kinds = {site.kind for site in assigned}

    def of(wanted: frozenset[SiteKind]) -> frozenset[Site]:
        return frozenset(site for site in assigned if site.kind in wanted)

    branches = [site for site in assigned if site.kind is SiteKind.DEEP_BRANCH]
    branches.sort(key=lambda site: site.index)
    groups = [(deep_group(site.index), frozenset({site})) for site in branches]
    groups = groups[:SENSED_BRANCHES]
    if SiteKind.BLOCK in kinds:
        groups.append((SiteKind.BLOCK.value, of(frozenset({SiteKind.BLOCK}))))
    if SiteKind.FEED_FORWARD in kinds:
        groups.append(("layers", of(LAYERS)))
    if kinds & ATTENTION:
        groups.append(("attention", of(ATTENTION)))
    return groups


def change_of(table: ErrorTable, name: str, step: int) -> float:
    """Mean change of a group's kinds in the step that was probed."""
    places = places_of(name, table)
    changes = [table.change(place, step - 1, step) for place in places if step < table.steps]
    return sum(changes) / len(changes) if changes else 0.0
