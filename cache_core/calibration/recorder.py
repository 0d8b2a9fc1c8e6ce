"""Measures how much layers change from step to step, in running sums on their own device."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch

from ..sites import Site, SiteKind
from ..streams import StreamKey
from ..values import Value
from .calibration import Average
from .table import Branch, ErrorTable, Lags, Place

ELEMENTS = 2**13
"""Numbers of one latent's value that are compared at a site. Their mean over all layers and latents
is what counts, and whole activations would not fit: a large video model's are 300 MB per layer."""

_BRANCHES: Mapping[int, Branch] = {0: "cond", 1: "uncond"}


@dataclass(slots=True)
class _Past:
    """The latest values of one stream at one site, thinned out."""

    weights: Hashable
    values: deque[tuple[int, torch.Tensor]]


@dataclass(slots=True)
class _Sums:
    """What one branch at one site adds up to, each of shape (lookahead, steps)."""

    ratios: torch.Tensor
    changes: torch.Tensor
    norms: torch.Tensor
    counts: list[list[int]] = field(default_factory=list[list[int]])


class Recorder:
    """Compares every value with those of the steps before.

    Nothing here waits for the device: ratios are summed where the values are, and read when the
    run is over.

    Args:
        steps: steps of the run.
        lookahead: compare with 1 … so many steps before.
        average: how latents are averaged.
        elements: numbers compared per latent and site; values that are smaller are compared whole.
        depth: how many earlier values are compared with; None for as many as lookahead.
    """

    def __init__(
        self,
        steps: int,
        lookahead: int,
        average: Average = "per sample",
        elements: int = ELEMENTS,
        depth: int | None = None,
    ) -> None:
        self._steps, self._lookahead = steps, lookahead
        self._average, self._elements = average, elements
        self._depth = depth or lookahead
        self._pasts: dict[tuple[Site, StreamKey], _Past] = {}
        self._sums: dict[tuple[Site, int, torch.device], _Sums] = {}
        self.peak_nbytes = 0
        self._nbytes = 0

    def observe(self, site: Site, stream: StreamKey, value: Value, step: int) -> None:
        """Take in what a site returned; of several evaluations in a step the first one counts.

        Shapes: the first axis of every tensor is the batch of this stream.
        """
        past = self._pasts.get((site, stream))
        if past is None or past.weights != stream.weights:
            past = _Past(stream.weights, deque(maxlen=self._depth))
            self._pasts[site, stream] = past
        if past.values and past.values[-1][0] >= step:
            return
        now = _thinned(value, self._elements)
        if now is None:
            return
        if past.values and past.values[-1][1].shape != now.shape:
            past.values.clear()
        exact = now.float() if now.dtype != torch.float64 else now
        norms = exact.abs().sum(1)
        for source, before in past.values:
            if step - source <= self._lookahead:
                changes = (exact - before).abs().sum(1)
                self._add(site, stream.cond, step - source, source, changes, norms)
        if len(past.values) < self._depth:
            self._nbytes += now.numel() * now.element_size()
            self.peak_nbytes = max(self.peak_nbytes, self._nbytes)
        past.values.append((step, now))

    def _add(
        self,
        site: Site,
        cond: int,
        lag: int,
        source: int,
        changes: torch.Tensor,
        norms: torch.Tensor,
    ) -> None:
        key = (site, cond, norms.device)
        sums = self._sums.get(key)
        if sums is None:
            shape = (self._lookahead, self._steps)
            # Apple's devices have no float64.
            dtype = torch.float32 if norms.device.type == "mps" else torch.float64
            ratios, changed, normed = (norms.new_zeros(shape, dtype=dtype) for _ in range(3))
            counts = [[0] * self._steps for _ in range(self._lookahead)]
            sums = self._sums[key] = _Sums(ratios, changed, normed, counts)
        # A layer that returns zeros twice has not changed.
        ratios = changes / norms.clamp_min(torch.finfo(norms.dtype).tiny)
        sums.ratios[lag - 1, source] += ratios.sum()
        sums.changes[lag - 1, source] += changes.sum()
        sums.norms[lag - 1, source] += norms.sum()
        sums.counts[lag - 1][source] += len(ratios)

    def forget(self) -> None:
        """Drop the kept values; the sums stay."""
        self._pasts.clear()
        self._nbytes = 0

    @property
    def measured_steps(self) -> int:
        """How many steps were compared with the one before."""
        return max((sum(map(bool, sums.counts[0])) for sums in self._sums.values()), default=0)

    def beside(self, table: ErrorTable) -> tuple[float, float] | None:
        """Changes as a table has them and as they were here, means over the same comparisons."""
        expected: list[float] = []
        measured: list[float] = []
        for place, lags in self.rows(with_layers=False).items():
            if place.branch != "both" or place not in table.rows:
                continue
            for lag, row in enumerate(lags, start=1):
                for source, change in enumerate(row):
                    wanted = table.change(place, source, source + lag)
                    if math.isfinite(change) and math.isfinite(wanted):
                        expected.append(wanted)
                        measured.append(change)
        if not measured:
            return None
        return sum(expected) / len(expected), sum(measured) / len(measured)

    def rows(self, with_layers: bool) -> dict[Place, Lags]:
        """The errors by kind and branch, and of every layer if asked for.

        Cells in which nothing was measured are infinite.
        """
        means = dict(self._means())
        groups: dict[Place, list[torch.Tensor]] = defaultdict(list)
        for (site, branch), mean in means.items():
            # Deep branches are cuts through one network, not layers of a kind.
            is_single = site.kind is SiteKind.DEEP_BRANCH
            if not is_single:
                groups[Place(site.kind, None, branch)].append(mean)
            if is_single or (with_layers and branch == "both"):
                groups[Place(site.kind, site.index, branch)].append(mean)
        return {place: self._lags(torch.stack(values).mean(0)) for place, values in groups.items()}

    def _means(self) -> Iterator[tuple[tuple[Site, Branch], torch.Tensor]]:
        """Per site and branch, over everything that was measured there."""
        by_site: dict[Site, dict[int, list[_Sums]]] = defaultdict(lambda: defaultdict(list))
        for (site, cond, _), sums in self._sums.items():
            by_site[site][cond].append(sums)
        for site, branches in by_site.items():
            every = [sums for found in branches.values() for sums in found]
            yield (site, "both"), self._mean(every)
            for cond, found in branches.items():
                if len(branches) > 1 and cond in _BRANCHES:
                    yield (site, _BRANCHES[cond]), self._mean(found)

    def _mean(self, every: list[_Sums]) -> torch.Tensor:
        if self._average == "as the reference":
            changes = torch.stack([sums.changes.cpu().double() for sums in every]).sum(0)
            norms = torch.stack([sums.norms.cpu().double() for sums in every]).sum(0)
            return torch.where(norms == 0, math.inf, changes / norms)
        ratios = torch.stack([sums.ratios.cpu().double() for sums in every]).sum(0)
        counts = torch.tensor([sums.counts for sums in every], dtype=torch.float64).sum(0)
        return torch.where(counts > 0, ratios / counts, math.inf)

    def _lags(self, mean: torch.Tensor) -> Lags:
        rows = cast("list[list[float]]", mean.tolist())  # pyright: ignore[reportUnknownMemberType]
        return tuple(
            tuple(row[: max(self._steps - lag, 0)]) for lag, row in enumerate(rows, start=1)
        )


def _thinned(value: Value, elements: int) -> torch.Tensor | None:
    """So many numbers of every row, shape (rows, numbers), in memory of its own."""
    parts = list(_tensors(value))
    total = sum(part[0].numel() for part in parts if len(part))
    if not total:
        return None
    share = min(elements / total, 1.0)
    return torch.cat([_thin(part, share) for part in parts], dim=1)


def _thin(part: torch.Tensor, share: float) -> torch.Tensor:
    """Whole tokens of a sequence, because their channels differ most; single numbers of others."""
    stride = _prime_from(math.ceil(1 / share))
    if part.ndim == 3 and part.shape[1] > stride:
        return part[:, ::stride].flatten(1)
    flat = part.flatten(1) if part.ndim > 1 else part[:, None]
    return flat[:, ::stride]


def _prime_from(number: int) -> int:
    """The least prime from here on: a stride that does not follow a picture's rows or channels."""
    while number > 3 and any(number % d == 0 for d in range(2, math.isqrt(number) + 1)):
        number += 1
    return number


def _tensors(value: Value) -> Iterator[torch.Tensor]:
    if isinstance(value, tuple):
        for item in value:
            yield from _tensors(item)
    elif value is not None:
        yield value
