"""One composition of where, when and what; and which rule a site belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .approximators import Approximator
from .errors import RuleConflictError
from .schedules import Schedule
from .sites import Site, SiteSelector


@dataclass(frozen=True, slots=True)
class Rule:
    """A sentence of the grammar: where × when × what.

    Args:
        where: the sites it claims.
        when: the schedule of reuse.
        what: what stands in for computing.
        owner: the node or method that made the rule, named in reports and errors.
    """

    where: SiteSelector
    when: Schedule
    what: Approximator
    owner: str


def assign(rules: Sequence[Rule], sites: Iterable[Site]) -> dict[Site, Rule]:
    """Give every claimed site its rule, in the order of `sites`.

    Raises:
        RuleConflictError: two rules claim one site.
    """
    assigned: dict[Site, Rule] = {}
    for site in sites:
        claims = [rule for rule in rules if rule.where.matches(site)]
        if len(claims) > 1:
            first, second = claims[0].owner, claims[1].owner
            raise RuleConflictError(
                f"{first} and {second} both claim {site}. One site can follow one rule only: "
                f"remove one of the two nodes, or let them act on different kinds of layers"
            )
        if claims:
            assigned[site] = claims[0]
    return assigned
