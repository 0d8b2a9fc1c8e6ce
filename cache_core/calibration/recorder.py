"""Measures how much layers change from step to step, on their own device and without waiting."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from threading import RLock

import numpy as np
import torch

from ..sites import Site, SiteKind
from ..streams import StreamKey
from ..values import Value
from .calibration import Average
from .means import Compared, Means, Numbers
from .ring import Ring
from .table import ErrorTable, Lags, Place
from .thinning import ELEMENTS, Thinning, tensors_of

Group = tuple[StreamKey, torch.device, torch.dtype, tuple[int, int], Hashable]
"""Sites whose thinned values have one type and shape, in one stream: compared together."""

Way = tuple[Thinning | None, tuple[Ring, ...], tuple[StreamKey, ...]]
"""How values of one sort are thinned out, and where they go: one ring for all streams, or one for
each, in batch order. And the streams."""


class Recorder:
    """Compares every value with those of the steps before.

    Args:
        steps: steps of the run.
        lookahead: compare with 1 … so many steps before.
        average: how latents are averaged.
        elements: numbers compared per branch and site, at most, unless its latents are so many
            that each would have too few; smaller values are compared whole.
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
        # With several GPUs the host calls the model from one thread per device.
        self._lock = RLock()
        self._ways: dict[Hashable, Way] = {}
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
        base: Value = None,
    ) -> None:
        """Take in what a site returned; of several evaluations in a step the first one counts.

        Args:
            company: which sites are computed in the same steps as this one; all, if None.
            base: what is compared of the value is what it adds to this.

        Shapes: the first axis of every tensor is the batch, one equal chunk per stream.
        """
        with self._lock:
            if step > self._step:
                self.compare()
                self._step = step
            if step < self._step:
                return
            parts, bases = tensors_of(value, base)
            # By identity, as in `StreamCounter.sized`.
            sort: tuple[Hashable, ...] = company, *map(id, streams)
            for part in parts:
                sort += (part.shape, part.dtype, part.device)
            way = self._ways.get(sort)
            if way is None:
                way = self._ways[sort] = self._way_of(tuple(streams), parts, company)
            thinning, rings, _ = way
            if thinning is None:
                return
            places: list[torch.Tensor | None] = []
            for number, ring in enumerate(rings):
                if not ring.is_filling:
                    self._filling.append(ring)
                    of_ring = streams if len(rings) == 1 else streams[number : number + 1]
                    ring.begin(tuple([stream.weights for stream in of_ring]))
                places.append(ring.place(site))
            thinning.copy(parts, places, bases)

    def _way_of(
        self, streams: tuple[StreamKey, ...], parts: tuple[torch.Tensor, ...], company: Hashable
    ) -> Way:
        """What becomes of values of one sort."""
        thinning = Thinning.of(parts, len(streams), self._elements)
        rings = () if thinning is None else self._rings_of(streams, thinning, company)
        return thinning, rings, streams

    def _rings_of(
        self, streams: Sequence[StreamKey], thinning: Thinning, company: Hashable
    ) -> tuple[Ring, ...]:
        """The ring of streams that have always come together, else one for each of them."""
        sort = thinning.device, thinning.dtype, thinning.shape, company
        groups = [(stream, *sort) for stream in streams]
        known = {self._rings.get(group) for group in groups}
        if known == {None}:
            ring = self._ring(thinning, *streams)
            self._rings.update(dict.fromkeys(groups, ring))
            return (ring,)
        if len(known) == 1 and [g for g, ring in self._rings.items() if ring in known] == groups:
            return tuple(filter(None, known))
        for group in groups:
            self._split(self._rings.get(group))
            if group not in self._rings:
                self._rings[group] = self._ring(thinning, group[0])
        return tuple([self._rings[group] for group in groups])

    def _ring(self, thinning: Thinning, *streams: StreamKey) -> Ring:
        conds = tuple([stream.cond for stream in streams])
        return Ring(conds, thinning.shape, thinning.dtype, thinning.device, self._depth)

    def _split(self, ring: Ring | None) -> None:
        """From now on the streams of a ring come apart."""
        if ring is None or len(ring.conds) == 1:
            return
        # What the fast paths assume no longer holds.
        self._ways.clear()
        alone = ring.split()
        groups = [group for group, known in self._rings.items() if known is ring]
        self._rings.update(zip(groups, alone, strict=True))
        if ring in self._filling:
            at = self._filling.index(ring)
            self._filling[at : at + 1] = alone

    def compare(self) -> None:
        """Compare what the current step has returned; nothing waits for the device."""
        with self._lock:
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
