"""Where values live between steps, and how many bytes they take."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from threading import Lock

from .clock import Clock
from .sites import Part, Site, part_of
from .streams import StreamKey
from .values import (
    Precision,
    Value,
    add_to,
    copy,
    for_sums,
    has_shapes_of,
    nbytes,
    precision_of,
    to_precision,
)

MAX_STREAMS = 64
"""Streams kept per site. Context-window schedules invent new windows at every step; beyond this
many the least recently used stream is dropped, and computing it again is always right."""


@dataclass(slots=True)
class Entry:
    """The history of one stream at one site.

    Args:
        history: computed outputs, oldest first, as the approximator folded them.
        step: sampler step of the newest of them.
        times: when the latest outputs were computed, oldest first.
        reuses: evaluations that used this history since it was stored.
        weights: those of the stream when it was stored.
        others: sites whose values have been added to it.
        precision: types that such a sum gets when it is whole.
        partner: the stream whose history was joined with this one's, which has none of its own now.
    """

    history: tuple[Value, ...]
    step: int
    times: tuple[Clock, ...] = ()
    reuses: int = 0
    weights: Hashable = ()
    others: frozenset[Site] = frozenset()
    precision: Precision = None
    partner: StreamKey | None = None


class Store:
    """Entries by site and stream, on the device where they were computed.

    Safe for threads: with several GPUs the host calls the model from one thread per device.
    """

    def __init__(self, max_streams: int = MAX_STREAMS) -> None:
        self._max_streams = max_streams
        self._entries: dict[Site, OrderedDict[StreamKey, Entry]] = {}
        self._lock = Lock()
        self._nbytes = 0
        self._nbytes_of: Counter[Part] = Counter()
        self.peak_nbytes = 0
        self.peak_nbytes_of: dict[Part, int] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return self._nbytes

    def get(self, site: Site, stream: StreamKey) -> Entry | None:
        """The entry of a stream, or None. Marks it as recently used."""
        with self._lock:
            entries = self._entries.get(site)
            entry = entries.get(stream) if entries is not None else None
            if entries is not None and entry is not None:
                entries.move_to_end(stream)
            return entry

    def put(
        self,
        site: Site,
        stream: StreamKey,
        history: tuple[Value, ...],
        step: int,
        times: tuple[Clock, ...] = (),
    ) -> None:
        """Store a copy of the values in `history` that are not stored already.

        A copy, because Flux, HunyuanVideo, LTXV and others write into what their blocks return.
        """
        with self._lock:
            self._put(site, stream, history, step, times)

    def add(self, site: Site, stream: StreamKey, other: Site, value: Value) -> bool:
        """Add what another site returned to what this one has stored, in as much memory.

        Until `settle`, half precision is added up as float32: in its own it would be farther from
        the truth than values that are stored one by one.

        Returns:
            Whether both fit together; if not, nothing was done.
        """
        with self._lock:
            entry = self._entries.get(site, OrderedDict[StreamKey, Entry]()).get(stream)
            if entry is None or not has_shapes_of(entry.history[-1], value):
                return False
            if not entry.others:
                entry.precision = precision_of(entry.history[-1])
                self._recast(site, entry, for_sums(entry.precision))
            entry.history = (add_to(entry.history[-1], value),)
            entry.others |= {other}
            return True

    def settle(self, site: Site, stream: StreamKey) -> None:
        """Nothing more is added: keep a sum as precisely as what it is a sum of."""
        with self._lock:
            entry = self._entries.get(site, OrderedDict[StreamKey, Entry]()).get(stream)
            if entry is not None and entry.others:
                self._recast(site, entry, entry.precision)

    def _recast(self, site: Site, entry: Entry, precision: Precision) -> None:
        before = _entry_nbytes(entry)
        entry.history = (to_precision(entry.history[-1], precision),)
        self._add(part_of(site), _entry_nbytes(entry) - before)
        self._note_peak(part_of(site))

    def _put(
        self,
        site: Site,
        stream: StreamKey,
        history: tuple[Value, ...],
        step: int,
        times: tuple[Clock, ...],
        partner: StreamKey | None = None,
    ) -> None:
        part = part_of(site)
        entries = self._entries.setdefault(site, OrderedDict())
        old = entries.pop(stream, None)
        kept = {id(value) for value in old.history} if old else set[int]()
        owned = tuple(value if id(value) in kept else copy(value) for value in history)
        entries[stream] = Entry(owned, step, times, weights=stream.weights, partner=partner)
        self._add(part, sum(map(nbytes, owned)) - _entry_nbytes(old))
        if len(entries) > self._max_streams:
            self._add(part, -_entry_nbytes(entries.popitem(last=False)[1]))
        self._note_peak(part)

    def merge_branches(
        self,
        site: Site,
        stream: StreamKey,
        combine: Callable[[tuple[Value, ...], tuple[Value, ...]], tuple[Value, ...]],
    ) -> None:
        """Join the history of a stream with that of the other conditioning of the same picture.

        Only ever two branches of one picture: with several prompts on one side every stream keeps
        its own value, and so it does where there is no second branch. Both are found in one entry
        from then on. Does nothing the second time.
        """
        with self._lock:
            entries = self._entries.get(site) or OrderedDict[StreamKey, Entry]()
            entry = entries.get(stream)
            if entry is None or entry.partner is not None:
                return
            # All but the conditioning agrees.
            others = [
                key
                for key in entries
                if key != stream and replace(key, cond=stream.cond, uuid=stream.uuid) == stream
            ]
            if len(others) != 1:
                return
            (partner,) = others
            other = entries[partner]
            if partner.cond == stream.cond or other.step != entry.step:
                return
            history = combine(entry.history, other.history)
            self._put(site, stream, history, entry.step, entry.times, partner)
            self._add(part_of(site), -_entry_nbytes(entries.pop(partner)))

    def merged(self, site: Site, stream: StreamKey) -> Entry | None:
        """The entry in which the history of a stream was joined with another's, or None."""
        with self._lock:
            entries = self._entries.get(site) or OrderedDict[StreamKey, Entry]()
            found = (e for e in entries.values() if e.partner == stream)
            return next(
                (e for e in found if e.partner and e.partner.weights == stream.weights), None
            )

    def newest_step(self, site: Site) -> int:
        """The latest step in which a value of this site was stored, -1 if none is."""
        with self._lock:
            entries = self._entries.get(site)
            return max((entry.step for entry in entries.values()), default=-1) if entries else -1

    def drop(self, site: Site, stream: StreamKey) -> None:
        """Forget the entry of a stream, if there is one."""
        with self._lock:
            entries = self._entries.get(site)
            if entries is not None:
                self._add(part_of(site), -_entry_nbytes(entries.pop(stream, None)))

    def drop_all(self, site: Site) -> None:
        """Forget every entry of a site."""
        part = part_of(site)
        with self._lock:
            none: OrderedDict[StreamKey, Entry] = OrderedDict()
            for entry in self._entries.pop(site, none).values():
                self._add(part, -_entry_nbytes(entry))

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()
            self._nbytes_of.clear()
            self._nbytes = 0

    def _add(self, part: Part, nbytes: int) -> None:
        self._nbytes += nbytes
        self._nbytes_of[part] += nbytes

    def _note_peak(self, part: Part) -> None:
        self.peak_nbytes = max(self.peak_nbytes, self._nbytes)
        self.peak_nbytes_of[part] = max(self.peak_nbytes_of.get(part, 0), self._nbytes_of[part])


def _entry_nbytes(entry: Entry | None) -> int:
    return sum(map(nbytes, entry.history)) if entry else 0
