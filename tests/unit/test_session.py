"""The session: the one loop that decides between computing and reusing."""

from __future__ import annotations

import pytest
import torch
from stepcache.cache_core.approximators import Approximator, Hold
from stepcache.cache_core.clock import Clock, Timeline
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.report import Report
from stepcache.cache_core.rules import Rule
from stepcache.cache_core.schedules import Interval, Mask, Schedule
from stepcache.cache_core.session import NOT_STORED, TOO_OFTEN, TOO_OLD, Session
from stepcache.cache_core.sites import Site, SiteKind, SiteSelector
from stepcache.cache_core.streams import StreamKey
from stepcache.cache_core.values import Value

SITE = Site(SiteKind.SELF_ATTENTION, 0)
NEXT_SITE = Site(SiteKind.SELF_ATTENTION, 1)
HOLD = Hold()
COND, UNCOND = StreamKey(0, "cond"), StreamKey(1, "uncond")


class Bench:
    """A run of an even timeline around one session, and a network that counts what it computes.

    Computing at the n-th evaluation (from 0) gives stream ``cond`` the value 10 × n + cond, two
    numbers wide: so a value tells when and for whom it was computed.
    """

    def __init__(self, schedule: Schedule, steps: int, what: Approximator = HOLD) -> None:
        line = Timeline.even(steps)
        self.sigmas = line.sigmas
        rule = Rule(SiteSelector(SITE.kind), schedule, what, "a node")
        self.report = Report(["a node"], "a family", "a sampler", {})
        self.report.plans = {SITE.kind.value: Plan.of(schedule, line).strip}
        self.session = Session({SITE: rule, NEXT_SITE: rule}, line, self.report)
        self.evaluation = -1
        self.computed = 0

    def evaluate(self, step: int) -> None:
        """The sampler evaluates the model at the start of `step`."""
        self.evaluation += 1
        self.session.start_evaluation(self.sigmas[step])

    def call(self, *streams: StreamKey, site: Site = SITE) -> torch.Tensor:
        """One call of a site with one row per stream."""

        def compute() -> torch.Tensor:
            self.computed += 1
            rows = [[10.0 * self.evaluation + stream.cond] * 2 for stream in streams]
            return torch.tensor(rows)

        output = self.session.run(site, streams, compute)
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


def test_interval_3_computes_every_third_step_and_holds_it_between() -> None:
    bench = Bench(Interval(3), steps=7)
    seen: list[float] = []
    for step in range(7):
        bench.evaluate(step)
        seen += bench.numbers(COND)
    assert seen == [0, 0, 0, 30, 30, 30, 60]
    assert bench.computed == 3
    assert bench.strip == "CRRCRRC"
    assert bench.forced == {}


def test_one_call_for_both_streams_or_one_for_each_is_the_same() -> None:
    together, apart = Bench(Interval(2), steps=4), Bench(Interval(2), steps=4)
    for step in range(4):
        together.evaluate(step)
        apart.evaluate(step)
        assert together.numbers(UNCOND, COND) == apart.numbers(UNCOND) + apart.numbers(COND)
    assert (together.computed, apart.computed) == (2, 4)
    assert together.report.computed == apart.report.computed
    assert together.report.reused == apart.report.reused
    assert together.report.total_computed == together.report.total_reused == 4


def test_streams_may_change_places_and_calls_between_steps() -> None:
    bench = Bench(Interval(4), steps=4)
    bench.evaluate(0)
    assert bench.numbers(UNCOND, COND) == [1, 0]
    bench.evaluate(1)
    assert bench.numbers(COND, UNCOND) == [0, 1]
    bench.evaluate(2)
    assert bench.numbers(COND) + bench.numbers(UNCOND) == [0, 1]
    assert bench.computed == 1


def test_sites_do_not_share_values() -> None:
    bench = Bench(Interval(2), steps=4)
    bench.evaluate(0)
    bench.call(COND, site=SITE)
    bench.evaluate(1)
    bench.call(COND, site=NEXT_SITE)
    assert bench.computed == 2
    assert bench.forced == {NOT_STORED: 1}


def test_a_stream_that_was_never_seen_is_computed() -> None:
    bench = Bench(Interval(4), steps=4)
    bench.evaluate(0)
    assert bench.numbers(COND) == [0]
    bench.evaluate(1)
    assert bench.numbers(UNCOND) == [11]
    assert bench.forced == {NOT_STORED: 1}
    bench.evaluate(2)
    assert bench.numbers(UNCOND) == [11]
    assert bench.forced == {NOT_STORED: 1}, "it is stored by now"


def test_one_new_stream_computes_the_whole_call() -> None:
    bench = Bench(Interval(4), steps=4)
    bench.evaluate(0)
    bench.call(COND)
    bench.evaluate(1)
    assert bench.numbers(COND, UNCOND) == [10, 11]
    assert bench.forced == {NOT_STORED: 2}


def test_another_layout_is_another_stream() -> None:
    bench = Bench(Interval(4), steps=4)
    small, large = StreamKey(0, "cond", layout=(1, 8)), StreamKey(0, "cond", layout=(1, 16))
    bench.evaluate(0)
    bench.call(small)
    bench.evaluate(1)
    bench.call(large)
    assert bench.forced == {NOT_STORED: 1}


def test_a_value_is_too_old_when_the_step_that_should_replace_it_did_not_run() -> None:
    bench = Bench(Interval(2), steps=6)
    for step in (0, 1):
        bench.evaluate(step)
        assert bench.numbers(COND) == [0]
    bench.evaluate(3)  # step 2 was to compute
    assert bench.numbers(COND) == [20]
    assert bench.forced == {TOO_OLD: 1}
    assert bench.strip == "CR.C.."


def test_a_value_serves_three_evaluations_of_one_step() -> None:
    bench = Bench(Interval(2), steps=2)
    bench.evaluate(0)
    assert bench.numbers(COND) == [0]
    seen: list[float] = []
    for _ in range(8):
        bench.evaluate(1)
        seen += bench.numbers(COND)
    assert seen == [0, 0, 0, 40, 40, 40, 40, 80]
    assert bench.forced == {TOO_OFTEN: 2}


def test_a_value_serves_three_evaluations_of_each_of_two_steps() -> None:
    bench = Bench(Interval(3), steps=3)
    bench.evaluate(0)
    bench.call(COND)
    for step in (1, 2):
        for _ in range(3):
            bench.evaluate(step)
            assert bench.numbers(COND) == [0]
    assert bench.computed == 1
    bench.evaluate(2)
    assert bench.numbers(COND) == [70]
    assert bench.forced == {TOO_OFTEN: 1}


def test_a_step_that_computes_does_so_at_each_of_its_evaluations() -> None:
    bench = Bench(Interval(2), steps=2)
    seen: list[float] = []
    for step in (0, 0, 1):
        bench.evaluate(step)
        seen += bench.numbers(COND)
    assert seen == [0, 10, 10]


def test_a_plan_without_a_first_computed_step_computes_at_first() -> None:
    bench = Bench(Mask((False, False)), steps=2)
    bench.evaluate(0)
    assert bench.numbers(COND) == [0]
    bench.evaluate(1)
    assert bench.numbers(COND) == [0]
    assert bench.forced == {NOT_STORED: 1}


def test_what_was_computed_out_of_plan_serves_three_evaluations_too() -> None:
    bench = Bench(Mask((False,)), steps=1)
    seen: list[float] = []
    for _ in range(5):
        bench.evaluate(0)
        seen += bench.numbers(COND)
    assert seen == [0, 0, 0, 0, 40]
    assert bench.forced == {NOT_STORED: 1, TOO_OFTEN: 1}


class Mean:
    """An approximator that needs the last two outputs."""

    needs = 2

    def observe(self, past: tuple[Value, ...], output: Value) -> tuple[Value, ...]:
        return (*past, output)[-2:]

    def approximate(self, past: tuple[Value, ...], clock: Clock) -> Value:
        first, second = past
        assert isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)
        return (first + second) / 2


def test_an_approximator_waits_for_as_many_outputs_as_it_needs() -> None:
    bench = Bench(Mask((True, False, False, True, False)), steps=5, what=Mean())
    seen: list[float] = []
    for step in range(5):
        bench.evaluate(step)
        seen += bench.numbers(COND)
    # Computed at evaluations 0, 1 and 3: between them the mean of 0 and 10, then of 10 and 30.
    assert seen == [0, 10, 5, 30, 20]
    assert bench.forced == {NOT_STORED: 1}
    assert bench.session.store.nbytes == 2 * 2 * 4


def test_nothing_is_stored_when_the_plan_never_reuses() -> None:
    bench = Bench(Interval(1), steps=3)
    for step in range(3):
        bench.evaluate(step)
        bench.call(COND)
    assert bench.computed == 3
    assert bench.session.store.peak_nbytes == 0
    assert bench.forced == {}


def test_the_store_holds_one_value_per_site_and_stream() -> None:
    bench = Bench(Interval(2), steps=8)
    for step in range(8):
        bench.evaluate(step)
        for site in (SITE, NEXT_SITE):
            bench.call(COND, UNCOND, site=site)
    # Two sites, two streams, two numbers of four bytes each.
    assert bench.session.store.nbytes == bench.session.store.peak_nbytes == 2 * 2 * 2 * 4


def test_finishing_empties_the_store_and_closes_the_report() -> None:
    bench = Bench(Interval(2), steps=4)
    bench.evaluate(0)
    bench.call(COND)
    assert bench.session.store.nbytes == 8
    bench.session.finish("stopped by a test")
    assert bench.session.store.nbytes == 0
    assert bench.session.store.get(SITE, COND) is None
    assert bench.report.outcome == "stopped by a test"
    assert bench.report.peak_nbytes == 8


@pytest.mark.parametrize("streams", [(COND,), (COND, UNCOND)])
def test_the_model_may_write_into_what_it_gets(streams: tuple[StreamKey, ...]) -> None:
    bench = Bench(Interval(4), steps=4)
    expected = [float(stream.cond) for stream in streams]
    for step in range(4):  # computed once, then reused three times
        bench.evaluate(step)
        output = bench.call(*streams)
        assert output[:, 0].tolist() == expected
        output.fill_(-1.0)
    assert bench.computed == 1


def test_tuples_are_split_stored_and_joined() -> None:
    bench = Bench(Interval(2), steps=2)

    def attend() -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([[1.0], [2.0]]), torch.tensor([[10.0, 11.0], [20.0, 21.0]])

    bench.evaluate(0)
    bench.session.run(SITE, (UNCOND, COND), attend)
    bench.evaluate(1)
    image, text = bench.session.run(SITE, (COND, UNCOND), attend)
    assert bench.report.total_reused == 2
    assert image.tolist() == [[2.0], [1.0]]
    assert text.tolist() == [[20.0, 21.0], [10.0, 11.0]]


def test_a_call_before_the_first_evaluation_is_an_error() -> None:
    bench = Bench(Interval(2), steps=2)
    with pytest.raises(StepCacheError, match="before the sampler announced an evaluation"):
        bench.call(COND)
    bench.evaluate(0)
    assert bench.numbers(COND) == [0]


def test_the_clock_counts_evaluations_and_is_told_the_step() -> None:
    bench = Bench(Interval(2), steps=4)
    moments: list[tuple[int, int]] = []
    for step in (0, 1, 1, 2, 1):
        bench.evaluate(step)
        moments.append((bench.session.clock.step, bench.session.clock.evaluation))
    assert moments == [(0, 0), (1, 1), (1, 2), (2, 3), (1, 4)]


def test_what_stopped_computing_leaves_no_value_behind() -> None:
    bench = Bench(Interval(2), steps=2)

    def interrupted() -> torch.Tensor:
        raise KeyboardInterrupt

    bench.evaluate(0)
    with pytest.raises(KeyboardInterrupt):
        bench.session.run(SITE, (COND,), interrupted)
    assert bench.session.store.nbytes == 0
    assert bench.report.total_computed == 0
    bench.evaluate(1)
    assert bench.numbers(COND) == [10]
    assert bench.forced == {NOT_STORED: 1}
