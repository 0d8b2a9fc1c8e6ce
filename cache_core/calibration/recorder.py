"""Measures how much layers change from step to step, on their own device and without waiting."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from functools import cache

import numpy as np
import torch

from ..sites import Site, SiteKind
from ..streams import StreamKey
from ..values import Value
from .calibration import Average
from .means import Compared, Means, Numbers
from .table import ErrorTable, Lags, Place

ELEMENTS = 2**10
"""Numbers of one branch's value that are compared at a site. Their mean over all layers and latents
is what counts, and whole activations would not fit: a large video model's are 300 MB per layer."""

LEAST_ELEMENTS = 2**8
"""Numbers of one latent at least, however many share the branch's: each has a ratio of its own."""

Group = tuple[StreamKey, torch.device, tuple[int, ...], Hashable]
"""Sites whose thinned values have one shape, in one stream: compared together."""


class _Ring:
    """The latest values of a group, thinned out.

    Args:
        sites: whose.
        weights: with which they were computed.
        like: values of one step, shape (sites, rows, numbers).
        depth: steps that are kept.
    """

    def __init__(
        self, sites: tuple[Site, ...], weights: Hashable, like: torch.Tensor, depth: int
    ) -> None:
        self.sites, self.weights = sites, weights
        self.steps: list[int] = []
        self._values = like.new_empty((depth, *like.shape))

    @property
    def nbytes(self) -> int:
        return self._values.numel() * self._values.element_size()

    def changes(self, now: torch.Tensor) -> torch.Tensor:
        """Sums of absolute differences to every kept step, shape (kept, sites, rows)."""
        return (self._values[: len(self.steps)] - now).abs_().sum(-1)

    def put(self, now: torch.Tensor, step: int) -> None:
        """Keep one more step, in place of the oldest."""
        slot = len(self.steps)
        if slot < len(self._values):
            self.steps.append(step)
        else:
            slot = self.steps.index(min(self.steps))
            self.steps[slot] = step
        self._values[slot] = now


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
        self._pending: dict[Group, dict[Site, torch.Tensor]] = {}
        self._rings: dict[Group, _Ring] = {}
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
        now = _thinned(value, len(streams), self._elements)
        if now is None:
            return
        for stream, part in zip(streams, now.chunk(len(streams)), strict=True):
            group = stream, part.device, tuple(part.shape), company
            self._pending.setdefault(group, {}).setdefault(site, part)

    def compare(self) -> None:
        """Compare what the current step has returned; nothing waits for the device."""
        for group, values in self._pending.items():
            stream, *_ = group
            sites, now = tuple(values), torch.stack(list(values.values()))
            ring = self._rings.get(group)
            if ring is None or (ring.sites, ring.weights) != (sites, stream.weights):
                self._nbytes -= ring.nbytes if ring is not None else 0
                ring = self._rings[group] = _Ring(sites, stream.weights, now, self._depth)
                self._nbytes += ring.nbytes
            if ring.steps:
                self._compared.append(
                    Compared(
                        sites, stream.cond, tuple(ring.steps), self._step,
                        changes=ring.changes(now), norms=now.abs().sum(-1),
                    )
                )  # fmt: skip
            ring.put(now, self._step)
        self.peak_nbytes = max(self.peak_nbytes, self._nbytes)
        self._pending.clear()

    def forget(self) -> None:
        """Drop the kept values; what was compared stays."""
        self.compare()
        self._rings.clear()
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


def _thinned(value: Value, streams: int, elements: int) -> torch.Tensor | None:
    """So many numbers of every stream, or all if there are fewer; shape (rows, numbers).

    None where nothing was returned, or something that cannot be divided among the streams.
    """
    parts = [part for part in _tensors(value) if part.numel()]
    rows = {len(part) for part in parts}
    if not rows or any(number % streams for number in rows):
        return None
    # SeedVR2 has all tokens of a batch in one sequence, and those of the prompt in another.
    count = rows.pop() if len(rows) == 1 else streams
    parts = [part.reshape(count, -1) for part in parts]
    wanted = max(elements * streams // count, min(elements, LEAST_ELEMENTS))
    stride = _prime_from(math.ceil(sum(part.shape[1] for part in parts) / wanted))
    thin = [part[:, ::stride] for part in parts]
    joined = torch.cat(thin, dim=1) if len(thin) > 1 else thin[0]
    dtype = torch.float64 if joined.dtype == torch.float64 else torch.float32
    # A copy in any case: a view would keep whole activations alive, and see what is written there.
    return joined.to(dtype, copy=True)


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
