"""One site in one model call: what its module asks the session."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..session import Decision, Session
from ..sites import Site, SiteKind
from ..streams import StreamKey
from ..values import Value

FOLLOWED = "another node's patches need to see this layer compute"


class Question:
    """Asks the session for one site.

    Args:
        session: the run's decisions and values.
        site: which site.
        streams: the conditioning streams of this model call, in batch order.
        batch_axis: axis of the batch in the site's values.
        is_followed: whether other nodes' patches depend on the layer's computing.
    """

    def __init__(
        self,
        session: Session,
        site: Site,
        streams: Sequence[StreamKey],
        batch_axis: int = 0,
        is_followed: bool = False,
    ) -> None:
        self._session, self._site, self._of_call = session, site, tuple(streams)
        self._streams = self._of_call
        self._batch_axis = batch_axis
        self._is_followed = is_followed
        self._calls = 0

    def decide(self, *given: Any) -> Decision:
        """Compute or reuse, for one call of the module.

        Args:
            given: the module's arguments, streams first. Their size belongs to the identity of
                the value: some patches change the number of tokens in the middle of a run.
        """
        # A module that the network calls again must not meet its own earlier value either.
        size, repeat = self._size(given), self._calls
        self._streams = tuple(
            replace(stream, layout=(stream.layout, size), repeat=repeat) for stream in self._of_call
        )
        self._calls += 1
        decision = self._session.decide(self._site, self._streams)
        if decision.reuse and self._is_followed:
            return Decision(reuse=False, forced=FOLLOWED)
        return decision

    def _size(self, given: Sequence[Any]) -> Hashable:
        """Rows per stream and shapes, the same whether streams share a batch or not."""
        axis = self._batch_axis
        shapes = [value.shape for value in given if isinstance(value, torch.Tensor)]
        shapes = [tuple(shape) for shape in shapes if len(shape) > max(axis, 2)]
        if not shapes:
            return ()
        rows = shapes[0][axis] / len(self._of_call)
        # Where the prompt is only attended to, its length says nothing about the value. Rotary
        # embeddings have more axes than streams, and in some hosts the batch on another one.
        is_joint = self._site.kind in (SiteKind.JOINT_ATTENTION, SiteKind.BLOCK)
        streams = [shape for shape in shapes if len(shape) == len(shapes[0])]
        told = streams if is_joint else shapes[:1]
        return rows, tuple(shape[:axis] + shape[axis + 1 :] for shape in told)

    def compute(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call what is saved where the site is reused; its cost is measured in calibrating runs."""
        stop = self._session.measure(self._site)
        if stop is None:
            return function(*args, **kwargs)
        try:
            return function(*args, **kwargs)
        finally:
            stop()

    @property
    def is_measured(self) -> bool:
        """Whether this is a calibrating run."""
        return self._session.is_measuring

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

    def run(self, compute: Callable[..., Value], *args: Any, **kwargs: Any) -> Value:
        """The stored approximation, or what `compute` returns, which is stored."""
        decision = self.decide(*args, *kwargs.values())
        if decision.reuse:
            return self.recall()
        value = self.compute(compute, *args, **kwargs)
        self.record(value, decision)
        return value


def _moved(value: Value, source: int, target: int) -> Value:
    if source == target:
        return value
    if isinstance(value, tuple):
        return tuple(_moved(item, source, target) for item in value)
    return value.movedim(source, target) if isinstance(value, torch.Tensor) else value
