"""Groups of sites that are reused together: what the influence on the network's output is about."""

from __future__ import annotations

from ..sites import Part, SiteKind
from .table import ErrorTable, Place

ATTENTION = frozenset({
    SiteKind.SELF_ATTENTION, SiteKind.JOINT_ATTENTION, SiteKind.TEMPORAL_ATTENTION,
    SiteKind.CROSS_ATTENTION,
})  # fmt: skip

LAYERS = ATTENTION | {SiteKind.FEED_FORWARD}

KINDS = {
    "attention": ATTENTION,
    "layers": LAYERS,
    SiteKind.BLOCK.value: frozenset({SiteKind.BLOCK}),
    SiteKind.GUIDANCE.value: frozenset({SiteKind.GUIDANCE}),
}
"""Groups by name; every deep branch is a group of its own beside them."""


def deep_group(branch: int) -> str:
    """Name of the group of one deep branch."""
    return f"{SiteKind.DEEP_BRANCH} {branch}"


def branch_of(group: str) -> int | None:
    """The deep branch that a group is about, None for another group."""
    kind, _, index = group.rpartition(" ")
    # Names come from files, where anything may stand after the kind.
    return int(index) if kind == SiteKind.DEEP_BRANCH.value and index.isdecimal() else None


def part_of_group(group: str) -> Part | None:
    """The one part that a group is; None where it is several."""
    branch = branch_of(group)
    if branch is not None:
        return SiteKind.DEEP_BRANCH, branch
    return (SiteKind.BLOCK, None) if group == SiteKind.BLOCK.value else None


def places_of(group: str, table: ErrorTable) -> list[Place]:
    """The rows of a table about a group."""
    branch = branch_of(group)
    if branch is not None:
        places = [Place(SiteKind.DEEP_BRANCH, branch)]
    else:
        places = [Place(kind) for kind in KINDS[group]]
    return [place for place in places if place in table.rows]
