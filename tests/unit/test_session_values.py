"""What the session stores, hands out and forgets."""

from __future__ import annotations

import pytest
import torch
from session_bench import COND, NEXT_SITE, SITE, UNCOND, Bench
from stepcache.cache_core.approximators import Reuse
from stepcache.cache_core.decisions import NOT_STORED
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.schedules import Interval, Mask
from stepcache.cache_core.site_call import SiteCall
from stepcache.cache_core.streams import StreamKey
from stepcache.cache_core.values import Value

History = tuple[Value, ...]


class Mean:
    """An approximator that needs the last two outputs."""

    min_history = 2
    max_history = 2

    def update(self, history: History, output: Value) -> History:
        return (*history, output)[-2:]

    def predict(self, history: History, reuse: Reuse) -> tuple[Value, History]:
        first, second = history
        assert isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)
        return (first + second) / 2, history


def test_an_approximator_waits_for_as_many_outputs_as_it_needs() -> None:
    bench = Bench(Mask((True, False, False, True, False)), steps=5, what=Mean())
    seen: list[float] = []
    for step in range(5):
        bench.evaluate(step)
        seen += bench.numbers(COND)
    # Computed at evaluations 0, 1 and 3: between them the mean of 0 and 10, then of 10 and 30.
    assert seen == [0, 10, 5, 30, 20]
    assert bench.forced == {}
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
    SiteCall(bench.session, SITE, (UNCOND, COND)).run(attend)
    bench.evaluate(1)
    image, text = SiteCall(bench.session, SITE, (COND, UNCOND)).run(attend)
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
        SiteCall(bench.session, SITE, (COND,)).run(interrupted)
    assert bench.session.store.nbytes == 0
    assert bench.report.total_computed == 0
    bench.evaluate(1)
    assert bench.numbers(COND) == [10]
    assert bench.forced == {NOT_STORED: 1}
