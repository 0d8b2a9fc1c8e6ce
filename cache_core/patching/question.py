"""One site in one model call: what its module asks the session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ..session import Decision, Session
from ..sites import Site
from ..streams import StreamKey
from ..values import Value


class Question:
    """Asks the session for one site.

    Args:
        session: the run's decisions and values.
        site: which site.
        streams: the conditioning streams of this model call, in batch order.
        decision: given where it was taken beforehand.
        batch_axis: axis of the batch in the site's values.
    """

    def __init__(
        self,
        session: Session,
        site: Site,
        streams: Sequence[StreamKey],
        decision: Decision | None = None,
        batch_axis: int = 0,
    ) -> None:
        self._session, self._site, self._streams = session, site, tuple(streams)
        self._decision = decision
        self._batch_axis = batch_axis
        self._calls = 0

    def decide(self) -> Decision:
        """Compute or reuse, for one call of the module."""
        if self._calls:
            # A module that the network calls again must not meet its own earlier value.
            self._streams = tuple(replace(s, repeat=self._calls) for s in self._streams)
        self._calls += 1
        return self._decision or self._session.decide(self._site, self._streams)

    @property
    def is_kept(self) -> bool:
        """Whether what is computed now will be stored."""
        return self._session.keeps(self._site)

    def recall(self) -> Value:
        """The value of all streams, in memory of its own."""
        return _moved(self._session.recall(self._site, self._streams), 0, self._batch_axis)

    def record(self, value: Value, decision: Decision) -> None:
        """Store what was computed, where a later step needs it."""
        value = _moved(value, self._batch_axis, 0)
        self._session.record(self._site, self._streams, value, decision)

    def run(self, compute: Callable[[], Value]) -> Value:
        """The stored approximation, or what `compute` returns, which is stored."""
        decision = self.decide()
        if decision.reuse:
            return self.recall()
        value = compute()
        self.record(value, decision)
        return value


def _moved(value: Value, source: int, target: int) -> Value:
    if source == target:
        return value
    if isinstance(value, tuple):
        return tuple(_moved(item, source, target) for item in value)
    return value.movedim(source, target) if isinstance(value, torch.Tensor) else value
