"""Measures how much layers change from step to step, on their own device and without waiting."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from ..sites import Site, SiteKind
from ..streams import StreamKey
from ..values import Value
from .calibration import Average
from .means import Compared, Means, Numbers
from .ring import Ring
from .table import ErrorTable, Lags, Place

ELEMENTS = 2**10
"""Numbers of one branch's value that are compared at a site. Their mean over all layers and latents
is what counts, and whole activations would not fit: a large video model's are 300 MB per layer."""

LEAST_ELEMENTS = 2**8
"""Numbers of one latent at least, however many share the branch's: each has a ratio of its own."""

Group = tuple[StreamKey, torch.device, torch.dtype, tuple[int, int], Hashable]
"""Sites whose thinned values have one type and shape, in one stream: compared together."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How values of one sort are thinned out, and where they go.

    Args:
        rows: of the whole value, all streams together.
        stride: every so manieth number of a row is kept.
        widths: how many numbers of a row each tensor of the value leaves.
        rings: one for all streams, or one for each, in batch order.
    """

    rows: int
    stride: int
    widths: tuple[int, ...]
    rings: tuple[Ring, ...]


class Recorder:
    """Compares every value with those of the steps before.

    Args:
        steps: steps of the run.
        lookahead: compare with 1 … so many steps before.
        average: how latents are averaged.
        elements: numbers compared per branch and site, at most, unless its latents are so many
            that each would have less than LEAST_ELEMENTS; smaller values are compared whole.
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
        self._lookahead, self._elements = lookahead, elements
        self._depth = depth or lookahead
        self._means = Means(steps, lookahead, average)
        self._step = -1
        self._ways: dict[Hashable, _Way | None] = {}
        self._rings: dict[Group, Ring] = {}
        self._filling: list[Ring] = []
        self._compared: list[Compared] = []
        self._nbytes = 0
        self.peak_nbytes = 0

    def observe(
        self,
        site: Site,
        streams: Sequence[StreamKey],
        value: Value,
        step: int,
        company: Hashable = None,
    ) -> None:
        """Take in what a site returned; of several evaluations in a step the first one counts.

        Args:
            company: which sites are computed in the same steps as this one; all, if None.

        Shapes: the first axis of every tensor is the batch, one equal chunk per stream.
        """
        if step > self._step:
            self.compare()
            self._step = step
        elif step < self._step:
            return
        parts = (value,) if isinstance(value, torch.Tensor) else tuple(_tensors(value))
        way = self._way_of(tuple(streams), parts, company)
        if way is None:
            return
        places: list[torch.Tensor | None] = []
        for number, ring in enumerate(way.rings):
            if not ring.is_filling:
                self._filling.append(ring)
                of_ring = streams if len(way.rings) == 1 else streams[number : number + 1]
                ring.begin(tuple([stream.weights for stream in of_ring]))
            places.append(ring.place(site))
        first = 0
        for part, width in zip(parts, way.widths, strict=True):
            if not width:
                continue
            thin = _every(part.detach(), way.rows, way.stride)
            # Copied, as a view would keep whole activations alive and see what is written there.
            for place, values in zip(places, _chunks(thin, len(places)), strict=True):
                if place is not None:
                    into = place if len(parts) == 1 else place[:, first : first + width]
                    into.copy_(values)
            first += width

    def _way_of(
        self, streams: tuple[StreamKey, ...], parts: tuple[torch.Tensor, ...], company: Hashable
    ) -> _Way | None:
        """How these tensors are taken in; None for what cannot be divided among the streams."""
        sort = streams, tuple([(part.shape, part.dtype) for part in parts]), company
        if parts:
            sort = *sort, parts[0].device
        if sort in self._ways:
            return self._ways[sort]
        way = self._ways[sort] = self._found_way(streams, parts, company)
        return way

    def _found_way(
        self, streams: tuple[StreamKey, ...], parts: tuple[torch.Tensor, ...], company: Hashable
    ) -> _Way | None:
        filled = [part for part in parts if part.numel()]
        lengths = {len(part) for part in filled}
        if not lengths or any(length % len(streams) for length in lengths):
            return None
        # SeedVR2 has all tokens of a batch in one sequence, and those of the prompt in another.
        rows = lengths.pop() if len(lengths) == 1 else len(streams)
        row = sum(part.numel() // rows for part in filled)
        wanted = max(self._elements * len(streams) // rows, min(self._elements, LEAST_ELEMENTS))
        stride = _prime_from(math.ceil(row / wanted))
        widths = tuple(math.ceil(part.numel() // rows / stride) for part in parts)
        is_double = any(part.dtype == torch.float64 for part in filled)
        dtype = torch.float64 if is_double else torch.float32
        shape, device = (rows // len(streams), sum(widths)), filled[0].device
        groups = [(stream, device, dtype, shape, company) for stream in streams]
        return _Way(rows, stride, widths, self._rings_of(groups, shape, dtype, device))

    def _rings_of(
        self,
        groups: Sequence[Group],
        shape: tuple[int, int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> tuple[Ring, ...]:
        """The ring of streams that have always come together, else one for each of them."""
        known = {self._rings.get(group) for group in groups}
        if known == {None}:
            conds = tuple([stream.cond for stream, *_ in groups])
            ring = Ring(conds, shape, dtype, device, self._depth)
            self._rings.update(dict.fromkeys(groups, ring))
            return (ring,)
        if len(known) == 1 and [g for g, ring in self._rings.items() if ring in known] == groups:
            return tuple(filter(None, known))
        for group in groups:
            self._split(self._rings.get(group))
            if group not in self._rings:
                cond = group[0].cond
                self._rings[group] = Ring((cond,), shape, dtype, device, self._depth)
        return tuple([self._rings[group] for group in groups])

    def _split(self, ring: Ring | None) -> None:
        """From now on the streams of a ring come apart."""
        if ring is None or len(ring.conds) == 1:
            return
        # The conditions for going the known ways hold no more.
        self._ways.clear()
        alone = ring.split()
        groups = [group for group, known in self._rings.items() if known is ring]
        self._rings.update(zip(groups, alone, strict=True))
        if ring in self._filling:
            at = self._filling.index(ring)
            self._filling[at : at + 1] = alone

    def compare(self) -> None:
        """Compare what the current step has returned; nothing waits for the device."""
        for ring in self._filling:
            self._nbytes -= ring.nbytes
            compared = ring.compare(self._step)
            self._nbytes += ring.nbytes
            if compared is not None:
                self._compared.append(compared)
        self.peak_nbytes = max(self.peak_nbytes, self._nbytes)
        self._filling.clear()

    def forget(self) -> None:
        """Drop the kept values; what was compared stays."""
        self.compare()
        self._rings.clear()
        self._ways.clear()
        self._nbytes = 0

    @property
    def measured_steps(self) -> int:
        """How many steps were compared with an earlier one, without the current one."""
        return len({each.step for each in self._compared})

    def beside(self, table: ErrorTable) -> tuple[float, float] | None:
        """Changes as a table has them and as they were here, means over the same comparisons."""
        expected: list[float] = []
        measured: list[float] = []
        for place, lags in self.rows(with_layers=True).items():
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
        groups: dict[Place, list[Numbers]] = defaultdict(list)
        self.compare()
        for (site, branch), mean in self._means.of(self._compared).items():
            # Deep branches are cuts through one network, not layers of a kind.
            is_single = site.kind is SiteKind.DEEP_BRANCH
            if not is_single:
                groups[Place(site.kind, None, branch)].append(mean)
            if is_single or (with_layers and branch == "both"):
                groups[Place(site.kind, site.index, branch)].append(mean)
        return {
            place: self._means.lags(np.stack(values).mean(axis=0))
            for place, values in groups.items()
        }


def _every(value: torch.Tensor, rows: int, stride: int) -> torch.Tensor:
    """A view of every so manieth number of each row, shape (rows, numbers)."""
    if not value.is_contiguous():
        return value.reshape(rows, -1)[:, ::stride]
    # The same in one operation; every layer comes by here in every step.
    row = value.numel() // rows
    return value.as_strided((rows, -(-row // stride)), (row, stride))


def _chunks(value: torch.Tensor, number: int) -> Sequence[torch.Tensor]:
    return (value,) if number == 1 else value.chunk(number)


@cache
def _prime_from(number: int) -> int:
    """The next prime, or 1: a stride that does not follow a picture's rows or channels."""
    while any(number % d == 0 for d in range(2, math.isqrt(number) + 1)):
        number += 1
    return number


def _tensors(value: Value) -> Iterator[torch.Tensor]:
    if isinstance(value, tuple):
        for item in value:
            yield from _tensors(item)
    elif value is not None:
        yield value
