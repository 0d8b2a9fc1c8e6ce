"""A session, a timeline and a counting network: what the tests of the session share."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from stepcache.cache_core.approximators import Approximator, Hold
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.report import Report
from stepcache.cache_core.rules import Rule
from stepcache.cache_core.schedules import Schedule
from stepcache.cache_core.session import Session
from stepcache.cache_core.site_call import SiteCall
from stepcache.cache_core.sites import Site, SiteKind, SiteSelector
from stepcache.cache_core.streams import StreamKey

SITE = Site(SiteKind.SELF_ATTENTION, 0)
NEXT_SITE = Site(SiteKind.SELF_ATTENTION, 1)
HOLD = Hold()


def stream_key(cond: int, uuid: Hashable, layout: Hashable = ()) -> StreamKey:
    """A stream without a context window, patches or LoRAs of its own."""
    return StreamKey(cond, uuid, None, (), layout, weights=())


COND, UNCOND = stream_key(0, "cond"), stream_key(1, "uncond")


class Bench:
    """A run of an even timeline around one session, and a network that counts what it computes.

    Computing at the n-th evaluation (from 0) gives stream ``cond`` the value 10 × n + cond, two
    numbers wide: so a value tells when and for whom it was computed.
    """

    def __init__(self, schedule: Schedule, steps: int, what: Approximator = HOLD) -> None:
        line = Timeline.even(steps)
        self.sigmas = line.sigmas
        rule = Rule(SiteSelector(SITE.kind), schedule, what, "a node")
        self.report = Report(["a node"], "a family", "a sampler", {}, line, {}, [])
        self.report.plans = {SITE.kind.value: Plan.of(schedule, line).strip}
        self.session = Session({SITE: rule, NEXT_SITE: rule}, line, self.report)
        self.evaluation = -1
        self.computed = 0

    def evaluate(self, step: int, half_log_snr: float = 0.0) -> None:
        """The sampler evaluates the model at the start of `step`."""
        self.evaluation += 1
        self.session.start_evaluation(self.sigmas[step], half_log_snr)

    def call(self, *streams: StreamKey, site: Site = SITE) -> torch.Tensor:
        """One call of a site with one row per stream."""

        def compute() -> torch.Tensor:
            self.computed += 1
            rows = [[10.0 * self.evaluation + stream.cond] * 2 for stream in streams]
            return torch.tensor(rows)

        output = SiteCall(self.session, site, streams).run(compute)
        assert isinstance(output, torch.Tensor)
        return output

    def numbers(self, *streams: StreamKey) -> list[float]:
        """One call of the site: the value of every stream."""
        return self.call(*streams)[:, 0].tolist()

    @property
    def strip(self) -> str:
        """What the steps did, one letter each."""
        return self.report.strip_of(SITE.kind.value)

    @property
    def forced(self) -> dict[str, int]:
        """How often computing was forced, by reason."""
        return {reason: count for (_, reason), count in self.report.forced.items()}
