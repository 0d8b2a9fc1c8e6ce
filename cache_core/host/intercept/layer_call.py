"""The call of one layer or block: whose value it is by now, and how its module answers."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from comfy.ldm.modules import attention

from ...decisions import COMPUTE
from ...errors import StepCacheError
from ...session import Session
from ...site_call import SiteCall
from ...sites import Site, SiteKind
from ...streams import StreamCounter, StreamKey
from ...values import Value, copy, is_on_processor
from ..guard import pass_over
from .block_row import BlockRowCall

EXCHANGED = "another node has exchanged attention itself in this block"
FOLLOWED = "another node's patches need to see this layer compute"


class LayerCall(SiteCall):
    """The call of a site whose value a module returns, which may be called several times in it.

    Args:
        session: the run's decisions and values.
        site: which site.
        counter: has the streams of the run.
        streams: the conditioning streams of this model call, in batch order.
        batch_axis: axis of the batch in the site's values.
        is_followed: whether other nodes' patches depend on the layer's computing.
        is_measured: whether it is measured in this call what computing costs.
        row: the row of blocks that the site is one of, where what they add is one sum.
    """

    def __init__(
        self,
        session: Session,
        site: Site,
        counter: StreamCounter,
        streams: tuple[StreamKey, ...],
        batch_axis: int = 0,
        is_followed: bool = False,
        is_measured: bool = False,
        row: BlockRowCall | None = None,
    ) -> None:
        super().__init__(session, site, streams)
        self._counter, self._of_call = counter, streams
        self._batch_axis = batch_axis
        self._is_joint = site.kind in (SiteKind.JOINT_ATTENTION, SiteKind.BLOCK)
        self._is_followed = is_followed
        session.begin_call(site, is_followed)
        self.is_measured = is_measured
        self._row = row
        self._calls = 0
        self._attend = attention.optimized_attention
        self._is_lost = False

    def is_reused(self, *given: Any) -> bool:
        """Decide for one call of the module with these arguments, streams first."""
        shapes: tuple[torch.Size, ...] = ()
        for value in given:
            if isinstance(value, torch.Tensor):
                shapes += (value.shape,)
        # A module that the network calls again must not meet its own earlier value either.
        repeat, self._calls = self._calls, self._calls + 1
        try:
            self._find_streams(shapes, repeat)
            if self._row is not None:
                self.decision = self._row.decide(self)
            else:
                self.reuses()
        except Exception as error:
            self._compute_instead(error)
            self.decision = COMPUTE
        if self.decision.reuse and self._is_followed:
            self.force_compute(FOLLOWED)
        return self.decision.reuse

    def _find_streams(self, shapes: tuple[torch.Size, ...], repeat: int) -> None:
        of_call = self._of_call
        if attention.optimized_attention is not self._attend:
            # It may count calls, and what is computed is not what the layer says otherwise.
            of_call = self._counter.doubted(of_call, EXCHANGED)
        self.streams = self._counter.sized(
            of_call, shapes, self._batch_axis, self._is_joint, repeat
        )

    def _compute_instead(self, error: Exception) -> None:
        """What nobody foresaw costs no picture: this call computes and keeps nothing."""
        if self._row is not None and self._row.holds(self.site):
            # Computing would add once more what was given with the sum of the row.
            raise self._refusal(error) from error
        self._is_lost = True
        pass_over(error, self.session.report, str(self.site.kind))

    def _refusal(self, error: Exception) -> StepCacheError:
        owner = self.session.rule_of(self.site).owner
        return StepCacheError(
            f"{owner}: what was kept of {self.site} cannot stand in "
            f"({type(error).__name__}: {error}). Take this node out, and please report it"
        )

    def compute(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call what is saved where the site is reused; its cost is measured in calibrating runs."""
        if not self.is_measured:
            return function(*args, **kwargs)
        stop = self.session.measure(self.site)
        try:
            return function(*args, **kwargs)
        finally:
            stop()

    @property
    def is_kept(self) -> bool:
        """Whether what is computed now will be stored."""
        return self.session.keeps(self.site) and not self.streams[0].doubt

    def copy(self, output: Value) -> Value:
        """A copy, where it will be stored and others may write into it before."""
        try:
            return self.session.make(copy, output) if self.is_kept else output
        except Exception as error:
            self._compute_instead(error)
            return output

    def recall(self, given: Value | None = None) -> Value:
        """The value of all streams, in memory of its own; None for a block whose row was given."""
        try:
            if self._row is not None and self._row.has_given(self.site, self.streams):
                self.session.pass_on(self.site, self.streams)
                return None
            value = super().recall(given)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise self._refusal(error) from error
        return _moved(value, 0, self._batch_axis) if self._batch_axis else value

    def record(self, output: Value, base: Value = None, head: Site | None = None) -> None:
        if self._is_lost:
            return
        try:
            self._record(output, base, head)
        except Exception as error:
            self._compute_instead(error)

    def record_added(self, output: Value, base: Value, given: Value) -> None:
        """Record a block, whose value is what it adds.

        Args:
            base: what it was given.
            given: the tensors that the host handed over, of which `base` may be a copy.
        """
        if self._row is None or self._is_lost or not self.is_kept:
            self.record(output, base)
            return
        try:
            self._record(output, base, self._row.head(self.site, self.streams, given))
            self._row.went_on(self.site, self.streams, output)
        except Exception as error:
            self._compute_instead(error)

    def _record(self, output: Value, base: Value, head: Site | None) -> None:
        session = self.session
        # Nearly every layer passes here in every evaluation: do no work that is not needed.
        began = perf_counter() if session.times_storing and self.is_kept else None
        if self._batch_axis:
            output, base = (_moved(value, self._batch_axis, 0) for value in (output, base))
        super().record(output, base, head)
        # Other devices have only been told what to copy by now.
        if began is not None and is_on_processor(output):
            session.add_storing(perf_counter() - began)

    def answer(
        self, compute: Callable[..., Value], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Value:
        """The stored approximation, or what `compute` returns, which is recorded."""
        is_reused = self.is_reused(*args, *kwargs.values())
        return self.resolve(is_reused, lambda: self.compute(compute, *args, **kwargs))


def _moved(value: Value, source: int, target: int) -> Value:
    if isinstance(value, tuple):
        return tuple(_moved(item, source, target) for item in value)
    return value.movedim(source, target) if isinstance(value, torch.Tensor) else value
