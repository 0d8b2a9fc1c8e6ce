"""The latest values of the sites that are compared together, and their differences."""

from __future__ import annotations

from collections.abc import Hashable

import torch

from ..sites import Site
from .means import Compared

Weights = tuple[Hashable, ...]
"""With which weights each stream of a ring was computed."""


class Ring:
    """The latest thinned values of sites that return one shape, in streams that come together.

    While the same sites come in the same order, the place of each is known before it comes. Another
    site, another order, or other weights begin a new history.

    Args:
        conds: indices of the streams' conditioning lists, in batch order.
        shape: of one site's values for one stream in one step, (rows, numbers).
        dtype, device: of what is kept.
        depth: earlier steps that are kept beside the current one.
    """

    def __init__(
        self,
        conds: tuple[int, ...],
        shape: tuple[int, int],
        dtype: torch.dtype,
        device: torch.device,
        depth: int,
    ) -> None:
        self.conds = conds
        self._shape, self._depth = shape, depth
        self._dtype, self._device = dtype, device
        self._sites: tuple[Site, ...] = ()
        self._order: dict[Site, int] = {}
        self._weights: Weights = ()
        self._steps: list[int] = []
        self._values, self._places = self._empty(0)
        self._slot = 0
        # Of the current step: how many sites came as expected, and which ones otherwise.
        self._taken = 0
        self._others: dict[Site, torch.Tensor] = {}
        self._now: Weights = ()
        self.is_filling = False

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept, with the current step."""
        return self._values.numel() * self._values.element_size()

    def begin(self, weights: Weights) -> None:
        """The first values of a step are about to come.

        Args:
            weights: with which they were computed, by stream.
        """
        self.is_filling, self._now = True, weights
        if weights != self._weights:
            self._sites, self._order, self._places = (), {}, ()

    def place(self, site: Site) -> torch.Tensor | None:
        """Where a site's values of the current step belong; None if it has brought them already.

        Shapes: (streams x rows, numbers).
        """
        taken, sites = self._taken, self._sites
        # Nearly always the same object, which need not be compared field by field.
        is_next = taken < len(sites) and (sites[taken] is site or sites[taken] == site)
        if is_next and not self._others:
            self._taken += 1
            return self._places[self._slot * len(sites) + taken]
        if site in self._others or self._order.get(site, taken) < taken:
            return None
        place = self._others[site] = self._memory(*self._places_shape)
        return place

    def compare(self, step: int) -> Compared | None:
        """The current step is complete: compare it with the kept ones, and keep it.

        Nothing waits for the device.
        """
        if self._others or self._taken < len(self._sites):
            self._begin_anew()
        slot = self._slot
        self._steps[slot : slot + 1] = [step]
        now, kept = self._values[1 + slot], len(self._steps)
        # The next one goes where the oldest is, once there is no room left.
        self._slot = kept if kept <= self._depth else self._steps.index(min(self._steps))
        self._taken, self.is_filling = 0, False
        if kept == 1:
            return None
        by_stream = len(self._sites), len(self.conds), self._shape[0]
        sums = (self._values[: 1 + kept] - now).abs_().sum(-1).view(1 + kept, *by_stream)
        return Compared(self._sites, self.conds, tuple(self._steps), step, sums)

    def split(self) -> list[Ring]:
        """One ring for every stream, which goes on where this one was."""
        rings: list[Ring] = []
        count = self._shape[0]
        for number, cond in enumerate(self.conds):
            rows = slice(number * count, (number + 1) * count)
            ring = Ring((cond,), self._shape, self._dtype, self._device, self._depth)
            ring._sites, ring._order, ring._steps = self._sites, self._order, [*self._steps]
            ring._weights = self._weights[number : number + 1]
            ring._slot, ring._taken = self._slot, self._taken
            ring._values, ring._places = ring._empty(self._values.shape[1], self._depth + 1)
            if self._values.numel():
                ring._values.copy_(self._values[:, :, rows])
            ring._others = {site: values[rows].clone() for site, values in self._others.items()}
            ring._now, ring.is_filling = self._now[number : number + 1], self.is_filling
            rings.append(ring)
        return rings

    def _begin_anew(self) -> None:
        first = self._slot * len(self._sites)
        brought = [*self._places[first : first + self._taken], *self._others.values()]
        self._sites = (*self._sites[: self._taken], *self._others)
        self._order = {site: number for number, site in enumerate(self._sites)}
        self._weights, self._steps, self._slot = self._now, [], 0
        self._values, self._places = self._empty(len(self._sites), self._depth + 1)
        for place, values in zip(self._places, brought, strict=False):
            place.copy_(values)
        self._others = {}

    def _empty(self, sites: int, steps: int = 1) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Zeros and room for values, shape (1 + steps, sites, streams x rows, numbers), and each
        one's place. What differs from zeros is all there is, so that sums are taken at once."""
        values = self._memory(1 + steps, sites, *self._places_shape)
        with torch.inference_mode(False):
            values[0].zero_()
            return values, values[1:].flatten(0, 1).unbind()

    @property
    def _places_shape(self) -> tuple[int, int]:
        rows, numbers = self._shape
        return len(self.conds) * rows, numbers

    def _memory(self, *shape: int) -> torch.Tensor:
        # What is made in inference mode could not be written to where a layer leaves it.
        with torch.inference_mode(False):
            return torch.empty(shape, dtype=self._dtype, device=self._device)
