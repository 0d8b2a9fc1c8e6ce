"""Means over what was compared, when the run is over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ..sites import Site
from .calibration import Average
from .table import Branch, Lags

Numbers: TypeAlias = NDArray[np.float64]
TINY = float(np.finfo(np.float64).tiny)

_BRANCHES: Mapping[int, Branch] = {0: "cond", 1: "uncond"}


@dataclass(frozen=True, slots=True)
class Compared:
    """What some sites returned in one step, compared with earlier steps.

    Args:
        sites: those whose values have one shape.
        conds: indices of the streams' conditioning lists.
        sources: the steps that are compared with; the later one itself may be among them, which
            tells nothing.
        step: the later one.
        sums: of absolute values in the later step, and of absolute differences from each source,
            shape (1 + sources, sites, streams, rows), on the device.
    """

    sites: tuple[Site, ...]
    conds: tuple[int, ...]
    sources: tuple[int, ...]
    step: int
    sums: torch.Tensor


class Means:
    """Averages comparisons over latents and branches.

    Args:
        steps: steps of the run.
        lookahead: greatest distance that counts.
        average: mean of ratios, or ratio of sums.
    """

    def __init__(self, steps: int, lookahead: int, average: Average) -> None:
        self._steps, self._lookahead, self._average = steps, lookahead, average

    def of(self, compared: Sequence[Compared]) -> dict[tuple[Site, Branch], Numbers]:
        """Relative changes by site and branch, shape (lookahead, steps); infinite where none is
        known."""
        by_site: dict[Site, dict[int, Numbers]] = defaultdict(dict)
        for (sites, cond), sums in self._sums(compared).items():
            for number, site in enumerate(sites):
                known = by_site[site].get(cond, 0.0)
                by_site[site][cond] = known + sums[:, number]
        found: dict[tuple[Site, Branch], Numbers] = {}
        for site, conds in by_site.items():
            found[site, "both"] = self._mean(np.sum(list(conds.values()), axis=0))
            for cond, sums in conds.items() if len(conds) > 1 else ():
                if cond in _BRANCHES:
                    found[site, _BRANCHES[cond]] = self._mean(sums)
        return found

    def _sums(self, compared: Sequence[Compared]) -> dict[tuple[tuple[Site, ...], int], Numbers]:
        """Ratios, changes, norms and counts, shape (4, sites, lookahead, steps)."""
        totals: dict[tuple[tuple[Site, ...], int], Numbers] = {}
        alike: dict[Any, list[int]] = defaultdict(list)
        for number, each in enumerate(compared):
            alike[each.sites, each.conds, each.sums.shape, each.sums.device].append(number)
        fetched = _fetched([torch.stack([compared[n].sums for n in ns]) for ns in alike.values()])
        for ((sites, conds, *_), numbers), both in zip(alike.items(), fetched, strict=True):
            norm, changed = both[:, :1], both[:, 1:]
            sums = np.empty((4, *changed.shape[:4]))
            # A layer that returns zeros twice has not changed.
            sums[0] = (changed / np.maximum(norm, TINY)).sum(-1)
            sums[1], sums[2], sums[3] = changed.sum(-1), norm.sum(-1), norm.shape[-1]
            sources = np.array([compared[n].sources for n in numbers])
            lags = np.array([compared[n].step for n in numbers])[:, None] - sources
            near = (lags >= 1) & (lags <= self._lookahead)
            # Shape (4, sites, branches, comparisons).
            sums = np.moveaxis(sums[:, near], 1, -1)
            for number, cond in enumerate(conds):
                if (sites, cond) not in totals:
                    totals[sites, cond] = np.zeros((4, len(sites), self._lookahead, self._steps))
                # Windows of one picture may have been compared in the same steps.
                where: Any = (slice(None), slice(None), lags[near] - 1, sources[near])
                np.add.at(totals[sites, cond], where, sums[:, :, number])
        return totals

    def _mean(self, totals: Numbers) -> Numbers:
        ratios, changes, norms, counts = totals
        by_reference = self._average == "as the reference"
        above, below = (changes, norms) if by_reference else (ratios, counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(counts > 0, above / below, np.inf)

    def lags(self, mean: Numbers) -> Lags:
        """The mean as rows of the table."""
        return tuple(
            tuple(float(each) for each in row[: max(self._steps - lag, 0)])
            for lag, row in enumerate(mean, start=1)
        )


def _fetched(tensors: Sequence[torch.Tensor]) -> list[Numbers]:
    """The tensors in the processor's memory, in one transfer for each device."""
    by_device: dict[torch.device, list[int]] = defaultdict(list)
    for position, tensor in enumerate(tensors):
        by_device[tensor.device].append(position)
    fetched: dict[int, Numbers] = {}
    for positions in by_device.values():
        joined: Any = torch.cat([tensors[p].flatten() for p in positions]).cpu().double().numpy()
        ends = np.cumsum([tensors[p].numel() for p in positions])
        for position, part in zip(positions, np.split(joined, ends[:-1]), strict=True):
            shape: tuple[int, ...] = tuple(tensors[position].shape)
            fetched[position] = np.reshape(part, shape)
    return [fetched[position] for position in range(len(tensors))]
