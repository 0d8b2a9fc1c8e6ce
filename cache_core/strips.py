"""What rules plan for every kind of site: before a run, and before there is a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .effort import spend
from .plan import Plan
from .rules import Rule, assign
from .sites import Part, Site, SiteKind, part_of


def shares_of(assigned: Mapping[Site, Rule], plans: Mapping[Rule, Plan]) -> dict[Part, list[float]]:
    """Which share of a part's sites reuses, 0 … 1, at every step.

    Args:
        assigned: the rule of every claimed site.
        plans: what these rules will do.
    """
    sites: dict[Part, Counter[Rule]] = {}
    for site, rule in assigned.items():
        sites.setdefault(part_of(site), Counter())[rule] += 1
    return {part: _share(counts, plans) for part, counts in sites.items()}


def _share(counts: Mapping[Rule, int], plans: Mapping[Rule, Plan]) -> list[float]:
    """Sites that share a rule are counted, not asked one by one."""
    total = sum(counts.values())
    reused = [0] * len(plans[next(iter(counts))].reuse)
    spend(len(counts) * len(reused))
    for rule, count in counts.items():
        for step, reuses in enumerate(plans[rule].reuse):
            reused[step] += count * reuses
    return [n / total for n in reused]


def strips_of(shares: Mapping[Part, Sequence[float]]) -> dict[str, str]:
    """One letter per step and kind: C all sites of the kind compute, R all reuse, P some do, "."
    none is asked, because the evaluation is reused."""
    skipped = shares.get((SiteKind.EVALUATION, None))
    return {
        kind.value: "".join(
            "R" if n == 1 else "P" if n else "." if _is_skipped(kind, step, skipped) else "C"
            for step, n in enumerate(row)
        )
        for (kind, _), row in shares.items()
    }


def _is_skipped(kind: SiteKind, step: int, evaluation: Sequence[float] | None) -> bool:
    return kind is not SiteKind.EVALUATION and evaluation is not None and evaluation[step] == 1


def without_guidance(assigned: Mapping[Site, Rule]) -> Mapping[Site, Rule]:
    """What is left where one branch runs; all of it, if there was nothing else."""
    left = {site: rule for site, rule in assigned.items() if site.kind is not SiteKind.GUIDANCE}
    return left or assigned


def planned_sites(
    rules: Iterable[Rule],
    layers: Mapping[SiteKind, int] | None,
    has_one_branch: bool = False,
) -> Mapping[Site, Rule]:
    """The rule of every site in a run that is not yet sampled.

    Args:
        rules: what the method means.
        layers: how many sites of each kind the model has; None where it is not known, which means
            every kind that the rules are about.
        has_one_branch: as for a run.
    """
    rules = tuple(rules)
    order = list(SiteKind)
    sites = sorted(_sites(rules, layers), key=lambda site: order.index(site.kind))
    assigned = assign(rules, sites)
    return without_guidance(assigned) if has_one_branch else assigned


def _sites(rules: Iterable[Rule], layers: Mapping[SiteKind, int] | None) -> list[Site]:
    """The model's sites; without a model those that rules name, or else one of the kind."""
    if layers is not None:
        # Every model is evaluated.
        counts = {**layers, SiteKind.EVALUATION: 1}
        return [Site(kind, index) for kind, count in counts.items() for index in range(count)]
    named: dict[SiteKind, set[int]] = {}
    for rule in rules:
        indices = (rule.where.indices or frozenset()) | rule.where.excluded
        named.setdefault(rule.where.kind, set()).update(indices)
    return [Site(kind, index) for kind, found in named.items() for index in sorted(found) or (0,)]
