"""The latest values of the sites that are compared together, and their differences."""

from __future__ import annotations

from collections.abc import Hashable

import torch

from ..sites import Site
from .means import Compared


class Ring:
    """The latest thinned values of sites that return one shape, in one stream.

    While the same sites come in the same order, the place of each is known before it comes. Another
    site, another order, or other weights begin a new past.

    Args:
        cond: index of the stream's conditioning list.
        shape: of one site's values in one step, (rows, numbers).
        dtype, device: of what is kept.
        depth: earlier steps that are kept beside the current one.
    """

    def __init__(
        self,
        cond: int,
        shape: tuple[int, int],
        dtype: torch.dtype,
        device: torch.device,
        depth: int,
    ) -> None:
        self._cond, self._shape, self._depth = cond, shape, depth
        self._dtype, self._device = dtype, device
        self._sites: tuple[Site, ...] = ()
        self._order: dict[Site, int] = {}
        self._weights: Hashable = None
        self._steps: list[int] = []
        self._values, self._places = self._empty(0)
        self._slot = 0
        # Of the current step: how many sites came as expected, and which ones otherwise.
        self._taken = 0
        self._others: dict[Site, torch.Tensor] = {}
        self._now: Hashable = None
        self.is_filling = False

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept, with the current step."""
        return self._values.numel() * self._values.element_size()

    def place(self, site: Site, weights: Hashable) -> torch.Tensor | None:
        """Where a site's values of the current step belong; None if it has brought them already.

        Args:
            weights: with which they were computed.

        Shapes: (rows, numbers).
        """
        if not self.is_filling:
            self.is_filling, self._now = True, weights
            if weights != self._weights:
                self._sites, self._places, self._order = (), (), {}
        taken = self._taken
        if taken < len(self._sites) and not self._others and self._sites[taken] == site:
            self._taken += 1
            return self._places[self._slot * len(self._sites) + taken]
        if site in self._others or self._order.get(site, taken) < taken:
            return None
        _, (place,) = self._empty(1)
        self._others[site] = place
        return place

    def compare(self, step: int) -> Compared | None:
        """The current step is complete: compare it with the kept ones, and keep it.

        Nothing waits for the device.
        """
        if self._others or self._taken < len(self._sites):
            self._begin_anew()
        slot, self._slot = self._slot, 0
        self._steps[slot : slot + 1] = [step]
        now, kept = self._values[slot], len(self._steps)
        # The next one goes where the oldest is, once there is no room left.
        self._slot = kept if kept <= self._depth else self._steps.index(min(self._steps))
        self._taken, self.is_filling = 0, False
        if kept == 1:
            return None
        return Compared(
            self._sites, self._cond, tuple(self._steps), step,
            changes=(self._values[:kept] - now).abs_().sum(-1), norms=now.abs().sum(-1),
        )  # fmt: skip

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
        """Room for values, shape (steps, sites, rows, numbers), and the place of each in it."""
        # What is made in inference mode could not be written to where a layer leaves it.
        with torch.inference_mode(False):
            values = torch.empty(
                (steps, sites, *self._shape), dtype=self._dtype, device=self._device
            )
            return values, values.flatten(0, 1).unbind()
