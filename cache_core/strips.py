"""What rules plan for every kind of site, as letters: before a run, and before there is a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .clock import Timeline
from .rules import Rule, assign, plans_of
from .sites import Site, SiteKind


def strips_of(assigned: Mapping[Site, Rule], timeline: Timeline) -> dict[str, str]:
    """One letter per step and kind: C all sites of the kind compute, R all reuse, P some do.

    Raises:
        ConfigError: a schedule does not fit this run.
    """
    plans = plans_of(set(assigned.values()), timeline)
    letters: dict[str, list[set[str]]] = {}
    for site, rule in assigned.items():
        columns = letters.setdefault(site.kind.value, [set() for _ in range(timeline.steps)])
        for column, letter in zip(columns, plans[rule].strip, strict=True):
            column.add(letter)
    return {
        kind: "".join(column.pop() if len(column) == 1 else "P" for column in columns)
        for kind, columns in letters.items()
    }


def without_guidance(assigned: Mapping[Site, Rule]) -> Mapping[Site, Rule]:
    """What is left where one branch runs; all of it, if there was nothing else."""
    left = {site: rule for site, rule in assigned.items() if site.kind is not SiteKind.GUIDANCE}
    return left or assigned


def planned_strips(
    rules: Iterable[Rule],
    timeline: Timeline,
    layers: Mapping[SiteKind, int] | None = None,
    has_one_branch: bool = False,
) -> dict[str, str]:
    """The strips of a run that is not yet sampled.

    Args:
        rules: what the method means.
        timeline: the run's schedule, or what is assumed of it.
        layers: how many sites of each kind the model has; None where it is not known, which shows
            every kind that the rules are about.
        has_one_branch: as for a run.

    Raises:
        ConfigError: a schedule does not fit this run.
    """
    rules = tuple(rules)
    assigned = assign(rules, _sites(rules, layers))
    strips = strips_of(without_guidance(assigned) if has_one_branch else assigned, timeline)
    return {kind.value: strips[kind.value] for kind in SiteKind if kind.value in strips}


def _sites(rules: Iterable[Rule], layers: Mapping[SiteKind, int] | None) -> list[Site]:
    """The model's sites; without a model those that rules name, or else one of the kind."""
    if layers is not None:
        return [Site(kind, index) for kind, count in layers.items() for index in range(count)]
    named: dict[SiteKind, set[int]] = {}
    for rule in rules:
        indices = (rule.where.indices or frozenset()) | rule.where.excluded
        named.setdefault(rule.where.kind, set()).update(indices)
    return [Site(kind, index) for kind, found in named.items() for index in sorted(found) or (0,)]
