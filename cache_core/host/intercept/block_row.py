"""A row of blocks in one model call: who gives what all of them add, and whose value is in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from weakref import ref

import torch

from ...block_rows import BlockRow, place_of
from ...decisions import NOT_STORED, REUSE, Decision
from ...session import Session
from ...site_call import SiteCall
from ...sites import Site
from ...streams import StreamKey

PATCHED = "other nodes' patches now stand between blocks whose sum was stored"

BETWEEN = ("double_block", "noise_refiner")
"""Patches that the host calls between blocks: they may read hidden states, and write into them."""


@dataclass(slots=True)
class _Pass:
    """What the row did for some streams.

    Args:
        given: sites whose values were given with that of another one.
        computing: why a block had to compute, and all after it with it; None while none had to.
        head: the site that holds the sum to which the next block may add.
        last: position of the block that computed last.
        returned: the tensors that it returned.
    """

    given: frozenset[Site] = frozenset()
    computing: Decision | None = None
    head: Site | None = None
    last: int = -1
    returned: tuple[ref[torch.Tensor], ...] = ()


class BlockRowCall:
    """Blocks of one row in one model call.

    A block adds to the sum of the one before it if it is given the very tensors that this one
    returned. In place the host adds to them what does not depend on them, residuals; whoever else
    acts between blocks returns tensors of his own, or is known, and a new sum begins behind him.

    Args:
        session: the run's decisions and values.
        row: the blocks, in order.
        options: ``transformer_options`` of the call.
    """

    def __init__(self, session: Session, row: BlockRow, options: Mapping[str, Any]) -> None:
        self._session, self._row = session, row
        self._position = {site: position for position, site in enumerate(row)}
        self._apart = _apart(row, options)
        self._passes: dict[tuple[StreamKey, ...], _Pass] = {}

    def decide(self, call: SiteCall) -> Decision:
        """Compute or reuse: what was given already is reused, and after a block that computes all
        others compute."""
        site, streams = call.site, tuple(call.streams)
        now = self._passes.setdefault(streams, _Pass())
        if site in now.given:
            return REUSE
        if now.computing is None:
            decision = self._decide(call, streams, now)
            if decision.reuse:
                return decision
            # Nothing of another call is mixed with what is stored from here on.
            for other in self._row:
                for stream in streams:
                    self._session.store.drop(other, stream)
            now.computing = decision
        return now.computing

    def _decide(self, call: SiteCall, streams: tuple[StreamKey, ...], now: _Pass) -> Decision:
        if not call.reuses():
            return call.decision
        site = call.site
        entries = [self._session.store.get(site, stream) for stream in streams]
        sums = {entry.others for entry in entries if entry is not None}
        if len(sums) != 1:
            return Decision(reuse=False, forced=NOT_STORED)
        summed = sums.pop()
        if summed and not self._apart.isdisjoint((site, *summed)):
            return Decision(reuse=False, forced=PATCHED)
        now.given |= summed
        return REUSE

    def has_given(self, site: Site, streams: tuple[StreamKey, ...]) -> bool:
        """Whether what a site adds is in what was given before."""
        return site in self._passes[streams].given

    def holds(self, site: Site) -> bool:
        """Whether what a site adds was given before, whatever the streams were."""
        return any(site in now.given for now in self._passes.values())

    def head(self, site: Site, streams: tuple[StreamKey, ...], given: object) -> Site | None:
        """To whose value a block adds that has computed; None where it begins a sum of its own.

        Args:
            given: the hidden states that the block got.
        """
        now, position = self._passes[streams], self._position[site]
        tensors = tuple(_tensors(given))
        goes_on = (
            now.head is not None
            and position == now.last + 1
            and self._apart.isdisjoint(self._row[now.last : position + 1])
            and len(tensors) == len(now.returned)
            and all(was() is tensor for was, tensor in zip(now.returned, tensors, strict=True))
        )
        if goes_on:
            return now.head
        self._settle(now, streams)
        now.head = site
        return None

    def went_on(self, site: Site, streams: tuple[StreamKey, ...], output: object) -> None:
        """A block has computed and is stored.

        Args:
            output: what it returned.
        """
        now = self._passes[streams]
        now.last, now.returned = self._position[site], tuple(map(ref, _tensors(output)))
        if site == self._row[-1]:
            self._settle(now, streams)

    def finish(self) -> None:
        """The call is over: nothing more is added to any sum."""
        for streams, now in self._passes.items():
            self._settle(now, streams)

    def _settle(self, now: _Pass, streams: tuple[StreamKey, ...]) -> None:
        if now.head is not None:
            for stream in streams:
                self._session.store.settle(now.head, stream)
            now.head = None


def _apart(row: BlockRow, options: Mapping[str, Any]) -> frozenset[Site]:
    """Blocks around which other nodes act: what they add is stored singly."""
    patches: Mapping[str, Any] = options.get("patches", {})
    if any(patches.get(name) for name in BETWEEN):
        return frozenset(row)
    replaced: Collection[Any] = options.get("patches_replace", {}).get("dit", {})
    numbers = {key[1] for key in replaced if isinstance(key, tuple) and len(key) > 1}
    places = ((site, place_of(site)) for site in row if numbers)
    return frozenset(site for site, place in places if place is not None and place[1] in numbers)


def _tensors(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, tuple):
        for item in cast("tuple[object, ...]", value):
            yield from _tensors(item)
    elif isinstance(value, torch.Tensor):
        yield value
