"""Rows of blocks: what all blocks of a row add is kept as one sum, if they reuse in the same steps.

From block to block the host hands the hidden states on, and at most adds residuals of its own. So
the sum of what the blocks add, given in place of the first one, is right behind the last one, and
residuals stay fresh. Whether they are handed on is seen in every call (`intercept/block_row.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from .approximators import Hold
from .plan import Plan
from .rules import Rule
from .sites import Part, Site, SiteKind, part_of

BlockRow = tuple[Site, ...]
"""Blocks, one after the other."""

_NUMBERED = re.compile(r"(.*?)(\d+)")


def place_of(block: Site) -> tuple[str, int] | None:
    """The list that a block stands in, and its number there; None where its path has none."""
    found = _NUMBERED.fullmatch(block.path)
    return (found[1], int(found[2])) if found else None


def starts_of(sites: Iterable[Site]) -> frozenset[int]:
    """The indices of blocks that are the first ones of a list of the network."""
    starts: set[int] = set()
    before: tuple[str, int] | None = None
    for site in _blocks(sites):
        place = place_of(site)
        if place is None or before is None or place != (before[0], before[1] + 1):
            starts.add(site.index)
        before = place
    return frozenset(starts)


def block_rows_of(
    assigned: Mapping[Site, Rule], plans: Mapping[Rule, Plan], starts: Collection[int]
) -> list[BlockRow]:
    """All blocks that have a rule; those of one row may be kept as one sum.

    Args:
        assigned: the rule of every claimed site.
        plans: what these rules will do.
        starts: as from `starts_of`; empty where the lists are not known, which then count as one.
    """
    rows: list[BlockRow] = []
    for site in _blocks(assigned):
        before = rows[-1][-1] if rows else None
        is_next = before is not None and site.index == before.index + 1
        if is_next and site.index not in starts:
            one, other = assigned[rows[-1][-1]], assigned[site]
            # A sum is what it was when it was computed, and so is what `Hold` answers.
            if one.what == other.what == Hold() and plans[one] == plans[other]:
                rows[-1] += (site,)
                continue
        rows.append((site,))
    return rows


def values_of(
    assigned: Mapping[Site, Rule], plans: Mapping[Rule, Plan], starts: Collection[int]
) -> dict[Part, int]:
    """How many values are kept of each part's sites, for one stream, when most are.

    Args:
        assigned: the rule of every claimed site.
        plans: what these rules will do.
        starts: as for `block_rows_of`.
    """
    counts: Counter[Part] = Counter()
    summed = {site for row in block_rows_of(assigned, plans, starts) for site in row[1:]}
    for site, rule in assigned.items():
        if site not in summed and any(plans[rule].reuse):
            counts[part_of(site)] += rule.what.max_history
    return {part: count for part, count in counts.items() if count}


def _blocks(sites: Iterable[Site]) -> list[Site]:
    blocks = (site for site in sites if site.kind is SiteKind.BLOCK)
    return sorted(blocks, key=lambda site: site.index)
