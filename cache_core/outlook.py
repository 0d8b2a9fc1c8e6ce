"""What rules will do in a run, and by what was observed in an earlier one, what that saves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .block_rows import values_of
from .clock import Timeline
from .effort import spend
from .estimate import Observation
from .rules import Rule, coverage_of, plans_of
from .sites import SiteKind
from .strips import planned_sites, shares_of, strips_of


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of one run.

    Args:
        strips: letters by kind of site, as of `strips_of`.
        speedup: seconds of a plain run ÷ seconds of this one; None where that cannot be told.
        nbytes: of stored values; None where that cannot be told.
    """

    strips: Mapping[str, str]
    speedup: float | None = None
    nbytes: float | None = None


def outlook_of(
    rules: Iterable[Rule],
    timeline: Timeline,
    layers: Mapping[SiteKind, int] | None,
    observed: Observation | None,
    *,
    has_one_branch: bool,
) -> Outlook:
    """What rules will do.

    Args:
        rules: of one method or several, fitted to the timeline.
        timeline: of the run.
        layers: sites of the model by kind; None where it is not known.
        observed: what steps of an earlier run cost; None where there was none.
        has_one_branch: whether the sampler leaves the unconditional branch out.

    Raises:
        StepCacheError: two rules claim the same site, or a plan cannot be made.
    """
    spend(sum((layers or {}).values()) * (2 + timeline.steps / 200))
    assigned = planned_sites(rules, layers, has_one_branch)
    plans = plans_of(set(assigned.values()), timeline)
    shares = shares_of(assigned, plans)
    strips = strips_of(shares)
    if observed is None:
        return Outlook(strips)
    spend(len(shares) * timeline.steps)
    covered = coverage_of(assigned, {str(kind): n for kind, n in (layers or {}).items()})
    reused = [
        {part: covered[part] * row[step] for part, row in shares.items()}
        for step in range(timeline.steps)
    ]
    kept = values_of(assigned, plans, observed.starts)
    return Outlook(strips, observed.speedup(reused), observed.nbytes(kept))
