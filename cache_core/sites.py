"""Where a value can be reused: sites, their kinds, and selections of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class SiteKind(str, Enum):
    """What a site computes. The values are the words used in reports and on nodes."""

    SELF_ATTENTION = "self_attention"
    TEMPORAL_ATTENTION = "temporal_attention"
    CROSS_ATTENTION = "cross_attention"
    DEEP_BRANCH = "deep_branch"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Site:
    """One reusable place in a network.

    Args:
        kind: what is computed there.
        index: position among the sites of this kind, in the order of the network; for a deep
            branch the index into ``input_blocks`` of the last block that always runs.
        path: dotted module path below the diffusion model; empty where a site is no module.
    """

    kind: SiteKind
    index: int
    path: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.index}" + (f" ({self.path})" if self.path else "")


@dataclass(frozen=True, slots=True)
class SiteSelector:
    """Chooses sites by kind and, optionally, by index."""

    kind: SiteKind
    indices: frozenset[int] | None = None

    def matches(self, site: Site) -> bool:
        """Whether `site` is chosen."""
        return site.kind is self.kind and (self.indices is None or site.index in self.indices)
