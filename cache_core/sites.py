"""Where a value can be reused: sites, their kinds, and selections of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MAX_LAYERS = 10_000
"""Beyond any network; what files and messages may speak of."""


class SiteKind(str, Enum):
    """What a site computes. The values are the words used in reports and on nodes.

    Joint attention is over prompt and picture at once, so neither's part is a layer of its own. A
    block is everything between two sums of the residual stream: attention, feed-forward, gates. An
    evaluation is all that the sampler asks the network at one noise level.
    """

    SELF_ATTENTION = "self_attention"
    JOINT_ATTENTION = "joint_attention"
    TEMPORAL_ATTENTION = "temporal_attention"
    CROSS_ATTENTION = "cross_attention"
    FEED_FORWARD = "feed_forward"
    BLOCK = "block"
    DEEP_BRANCH = "deep_branch"
    GUIDANCE = "guidance"
    EVALUATION = "evaluation"

    # That of enums is written in Python, and sites are looked up many times per evaluation.
    __hash__ = str.__hash__

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Site:
    """One reusable place in a network.

    Args:
        kind: what is computed there.
        index: position among the sites of this kind, in the order of the network; for a deep
            branch the index into ``input_blocks`` of the last block that always runs. Guidance is
            one site: what one branch of classifier-free guidance adds to the other. So is the
            evaluation, whose streams are the lists of conditionings.
        path: dotted module path below the diffusion model; empty where a site is no module.
    """

    kind: SiteKind
    index: int
    path: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.index}" + (f" ({self.path})" if self.path else "")


@dataclass(frozen=True, slots=True)
class SiteSelector:
    """Chooses sites by kind and, optionally, by index.

    Args:
        kind: what the sites compute.
        indices: the chosen ones; None for all.
        excluded: indices that are left out although they would be chosen.
    """

    kind: SiteKind
    indices: frozenset[int] | None = None
    excluded: frozenset[int] = frozenset()

    def matches(self, site: Site) -> bool:
        """Whether `site` is chosen."""
        is_chosen = self.indices is None or site.index in self.indices
        return site.kind is self.kind and is_chosen and site.index not in self.excluded


Part = tuple[SiteKind, int | None]
"""Whose share a cost is: that of all sites of a kind, or of one deep branch."""


def part_of(site: Site) -> Part:
    """Under which name the cost of a site is kept: deep branches are each of a size of its own."""
    return site.kind, site.index if site.kind is SiteKind.DEEP_BRANCH else None


def name_of(part: Part) -> str:
    """A part as a key in files and messages: "self_attention", "deep_branch-1"."""
    kind, index = part
    return str(kind) if index is None else f"{kind}-{index}"


def part_named(name: str) -> Part | None:
    """What such a key means, None where it means nothing. One part has one name."""
    kind, hyphen, index = name.partition("-")
    found = next((each for each in SiteKind if each.value == kind), None)
    if found is None or not hyphen:
        return None if found is None else (found, None)
    is_index = index.isascii() and index.isdigit() and len(index) < len(str(MAX_LAYERS))
    return (found, int(index)) if is_index and str(int(index)) == index else None
