"""One composition of where, when and what; which rule a site has; what all do in a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

from .approximators import Approximator
from .clock import Timeline
from .effort import spend
from .errors import RuleConflictError
from .plan import Plan
from .schedules import Schedule
from .sites import Part, Site, SiteKind, SiteSelector, part_of


@dataclass(frozen=True, slots=True)
class Rule:
    """A sentence of the grammar: where × when × what.

    Args:
        where: the sites it claims.
        when: the schedule of reuse.
        what: what stands in for computing.
        owner: the node or method that made the rule, named in reports and errors.
        is_required: whether the method makes no sense on a model without such sites.
        remedy: what to do about a model that lacks required sites; empty where Apply PAB is the
            answer.
        full_steps: steps in which no deep branch may be skipped, because this rule has to see
            every layer then.
        requires: kind of which a value must have been stored by the step that this rule builds on;
            None where it stands alone.
    """

    where: SiteSelector
    when: Schedule
    what: Approximator
    owner: str
    is_required: bool = False
    remedy: str = ""
    full_steps: frozenset[int] = frozenset()
    requires: SiteKind | None = None


def assign(rules: Sequence[Rule], sites: Iterable[Site]) -> dict[Site, Rule]:
    """Give every claimed site its rule, in the order of `sites`.

    A rule that can never reuse yields to one that can.

    Raises:
        RuleConflictError: two rules claim one site, or one a whole block and one a layer in it.
    """
    assigned: dict[Site, Rule] = {}
    candidates = _Candidates(rules)
    for site in sites:
        claims = candidates.of(site)
        active = [rule for rule in claims if not rule.when.never_reuses]
        if len(active) > 1:
            first, second = active[0].owner, active[1].owner
            raise RuleConflictError(
                f"{first} and {second} both claim {site}. One site can follow one rule only: "
                f"remove one of the two nodes, or let them act on different kinds of layers"
            )
        if claims:
            assigned[site] = (active or claims)[0]
    _refuse_layers_in_blocks(assigned)
    return assigned


class _Candidates:
    """Rules by what they may claim: a schedule may have one for each of a thousand layers."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by_kind: dict[tuple[SiteKind, int | None], list[tuple[int, Rule]]] = {}
        for order, rule in enumerate(rules):
            indices = rule.where.indices
            spend(len(indices or ()) + 1)
            for index in (None,) if indices is None else indices:
                self._by_kind.setdefault((rule.where.kind, index), []).append((order, rule))

    def of(self, site: Site) -> list[Rule]:
        """Those that claim a site, in the order of the rules."""
        found = [
            *self._by_kind.get((site.kind, None), ()),
            *self._by_kind.get((site.kind, site.index), ()),
        ]
        spend(len(found) + 1)
        found.sort(key=itemgetter(0))
        return [rule for _, rule in found if rule.where.matches(site)]


def _refuse_layers_in_blocks(assigned: Mapping[Site, Rule]) -> None:
    """A block that is reused asks none of its layers, so their plans would not come true."""
    active = {site: rule for site, rule in assigned.items() if not rule.when.never_reuses}
    blocks = {site.path: rule for site, rule in active.items() if site.kind is SiteKind.BLOCK}
    for site, rule in active.items() if blocks else ():
        if site.kind is SiteKind.BLOCK or not site.path:
            continue
        names = site.path.split(".")
        above = (".".join(names[:end]) for end in range(1, len(names) + 1))
        block = next((path for path in above if path in blocks), None)
        if block is not None:
            raise RuleConflictError(
                f"{blocks[block].owner} claims the whole block {block}, and {rule.owner} claims "
                f"{site} inside it. Reuse whole blocks or the layers in them, not both: take one "
                f"of the two out"
            )


def plans_of(
    rules: Iterable[Rule], timeline: Timeline, planned: Callable[[Schedule], Plan] | None = None
) -> dict[Rule, Plan]:
    """What every rule will do in a run, each with regard to the others.

    Args:
        rules: the rules.
        timeline: the run.
        planned: `Plan.of` in this run, for who asks often and remembers.

    Raises:
        ConfigError: a schedule does not fit this run.
    """
    planned = planned or partial(Plan.of, timeline=timeline)
    rules = tuple(rules)
    spend(len(rules) * timeline.steps)
    # As many outputs as are combined have to be computed before the first reuse.
    plans = {rule: planned(rule.when).computing_first(rule.what.min_history) for rule in rules}
    whole = frozenset[int]().union(*(rule.full_steps for rule in plans))
    for rule, plan in plans.items():
        if rule.where.kind is SiteKind.DEEP_BRANCH:
            plans[rule] = plan.computing_at(whole)
    evaluation = next((p for r, p in plans.items() if r.where.kind is SiteKind.EVALUATION), None)
    if evaluation is not None:
        plans = {
            rule: plan
            if plan is evaluation
            else plan.inside(evaluation).computing_first(rule.what.min_history)
            for rule, plan in plans.items()
        }
    guidance = next((p for r, p in plans.items() if r.where.kind is SiteKind.GUIDANCE), None)
    if guidance is None:
        return plans
    return {
        rule: plan if plan is guidance or plan is evaluation else plan.with_branches(guidance)
        for rule, plan in plans.items()
    }


def coverage_of(assigned: Mapping[Site, Rule], layers: Mapping[str, int]) -> dict[Part, float]:
    """Which share of all sites of a part has a rule, 0 … 1.

    Args:
        assigned: the rule of every claimed site.
        layers: how many sites of each kind the model has, by the kind's word.
    """
    claimed = Counter(part_of(site) for site in assigned)
    return {
        (kind, index): count / max(layers.get(kind.value, count) if index is None else 1, count)
        for (kind, index), count in claimed.items()
    }
