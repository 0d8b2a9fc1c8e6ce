"""One site in one call of the model: the only way to its value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .decisions import COMPUTE, Decision
from .session import Session
from .sites import Site
from .streams import StreamKey
from .values import Value


class SiteCall:
    """Asks the session once, then either recalls the value or records what was computed.

    What answers for a site in another way than `run` keeps to the same order: `reuses`, and then
    `recall` or `record`.

    Args:
        session: the run's decisions and values.
        site: which site; it has a rule.
        streams: the conditioning streams of this call, in the order of the batch.
    """

    def __init__(self, session: Session, site: Site, streams: Sequence[StreamKey]) -> None:
        self.session, self.site, self.streams = session, site, streams
        self.decision: Decision = COMPUTE

    def reuses(self, why_not: Callable[[], str | None] | None = None) -> bool:
        """Decide: reuse or compute?

        Args:
            why_not: asked where a reuse is planned and possible; a reason makes it compute.
        """
        self.decision = self.session.decide(self.site, self.streams)
        if self.decision.reuse and why_not is not None:
            reason = why_not()
            if reason is not None:
                self.force_compute(reason)
        return self.decision.reuse

    def force_compute(self, reason: str) -> None:
        """It computes after all, for this reason."""
        self.decision = Decision(reuse=False, forced=reason)

    def recall(self, given: Value | None = None) -> Value:
        """The approximation for all streams, in memory of its own.

        Args:
            given: what this step computed in any case, for approximators that build on it.
        """
        return self.session.recall(self.site, self.streams, given)

    def record(self, output: Value, base: Value = None, head: Site | None = None) -> None:
        """Count what was computed, and store it if a later step may reuse it.

        Args:
            base: what is stored of the output is what it adds to this.
            head: the site to whose value it is added, if it fits; else it is stored by itself.
        """
        self.session.record(self.site, self.streams, output, self.decision, base, head)

    def count(self) -> None:
        """Count what was computed, and store nothing."""
        self.session.count(self.site, self.streams, self.decision)

    def of(self, stream: StreamKey) -> SiteCall:
        """The part of this call that is about one of its streams."""
        part = SiteCall(self.session, self.site, [stream])
        part.decision = self.decision
        return part

    def run(self, compute: Callable[[], Value]) -> Value:
        """Decide, then the stored approximation, or what `compute` returns, which is recorded.

        Shapes: the first axis of every tensor is the batch, one equal chunk per stream.
        """
        return self.resolve(self.reuses(), compute)

    def resolve(self, is_reused: bool, compute: Callable[[], Value]) -> Value:
        """As `run`, once it is decided."""
        if is_reused:
            return self.recall()
        output = compute()
        self.record(output)
        return output
