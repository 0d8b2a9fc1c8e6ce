"""The session of a calibrating run: it computes, measures, and now and then answers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from session_bench import COND, HOLD, NEXT_SITE, SITE, UNCOND
from stepcache.cache_core.calibration import Place
from stepcache.cache_core.calibration.meter import Meter
from stepcache.cache_core.calibration.recorder import Recorder
from stepcache.cache_core.calibration.session import CalibratingSession
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.decisions import Decision
from stepcache.cache_core.report import Report
from stepcache.cache_core.rules import Rule
from stepcache.cache_core.schedules import Never
from stepcache.cache_core.site_call import SiteCall
from stepcache.cache_core.sites import SiteKind, SiteSelector

STEPS = 4
LINE = Timeline.even(STEPS)
BOTH = frozenset({SITE, NEXT_SITE})


class Bench:
    """Two sites whose value in the n-th evaluation is n; both streams in one call."""

    def __init__(self) -> None:
        rule = Rule(SiteSelector(SITE.kind), Never(), HOLD, "a node")
        plans = {SITE.kind.value: "C" * STEPS}
        self.report = Report(["a node"], "a family", "a sampler", plans, LINE, {}, [])
        self.recorder = Recorder(STEPS, 2)
        self.meter = Meter(torch.device("cpu"))
        self.session = CalibratingSession(
            dict.fromkeys((SITE, NEXT_SITE), rule), LINE, self.report, self.recorder, self.meter
        )
        self.evaluation = 0

    def evaluate(self, step: float) -> None:
        """An evaluation at a step's noise level, or between two of them."""
        self.evaluation += 1
        self.session.start_evaluation(1.0 - step / STEPS)

    def call(self) -> list[float]:
        """Both sites' answers in one call of the network."""

        def compute() -> torch.Tensor:
            return torch.full((2, 3), float(self.evaluation))

        streams = (COND, UNCOND)
        return [
            float(SiteCall(self.session, site, streams).run(compute)[0, 0])  # pyright: ignore
            for site in (SITE, NEXT_SITE)
        ]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_sensed_group_answers_with_the_step_before_and_nothing_is_measured(bench: Bench) -> None:
    for step in range(2):
        bench.evaluate(step)
        bench.session.keep(frozenset({SITE}), still=frozenset())
        bench.call()
    assert bench.session.holds(frozenset({SITE})) is False, "that of this step, not of the last"
    bench.evaluate(2)
    assert bench.session.holds(frozenset({SITE}))
    counted = bench.report.total_computed
    with bench.session.probing(frozenset({SITE})):
        assert bench.call() == [2.0, 3.0]
        assert not bench.session.keeps(SITE)
        assert not bench.session.is_measuring
    assert bench.report.total_computed == counted
    assert bench.call() == [3.0, 3.0], "the run itself computes"
    assert bench.recorder.rows(False)[Place(SITE.kind)][0][:2] == pytest.approx((0.5, 1 / 3))


def test_a_group_of_which_something_was_not_kept_is_not_sensed(bench: Bench) -> None:
    bench.evaluate(0)
    bench.session.keep(frozenset({SITE}), still=frozenset())
    bench.call()
    bench.evaluate(1)
    assert bench.session.holds(frozenset({SITE}))
    assert not bench.session.holds(BOTH)
    with bench.session.probing(BOTH):
        assert bench.call() == [1.0, 2.0], "what is not there is computed"


def test_an_error_while_sensing_ends_it(bench: Bench) -> None:
    bench.meter.is_timing = True
    bench.evaluate(0)
    with pytest.raises(RuntimeError), bench.session.probing(BOTH):
        assert not bench.session.is_measuring
        raise RuntimeError
    assert bench.session.is_measuring


def test_of_several_evaluations_in_a_step_the_last_one_answers(bench: Bench) -> None:
    """As it would in a run that reuses."""
    bench.evaluate(0)
    bench.session.keep(frozenset({SITE}), still=frozenset())
    bench.call()
    bench.evaluate(0.5)
    bench.call()
    bench.evaluate(1)
    with bench.session.probing(frozenset({SITE})):
        assert bench.call() == [2.0, 3.0]


def test_a_site_is_as_large_as_it_is_in_one_evaluation(bench: Bench) -> None:
    for step in (0, 0.5, 1):
        bench.evaluate(step)
        bench.call()
    assert bench.session.nbytes_of(frozenset({SITE})) == 2 * 3 * 4
    assert bench.session.nbytes_of(BOTH) == 2 * 2 * 3 * 4


def test_what_is_not_needed_any_more_is_dropped(bench: Bench) -> None:
    bench.evaluate(0)
    bench.session.keep(BOTH, still=frozenset())
    bench.call()
    store = bench.session.store
    assert store.nbytes == 48
    bench.session.keep(frozenset(), still=frozenset({SITE}))
    assert store.nbytes == 24
    bench.session.finish("finished")
    assert store.nbytes == 0
    assert store.peak_nbytes == bench.report.peak_nbytes == 48


@pytest.mark.parametrize(
    ("steps", "is_met"),
    [
        ((0, 1, 2, 3), True),
        ((0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5), True),
        ((0, 0.5, 1, 0.7, 2, 1.2, 3), True),
        ((0.0001, 1.01, 1.99999, 3), True),
        ((0, 1, 2), False),
        ((0, 1, 3), False),
        ((0, 0.5, 1.5, 2, 3), False),
        ((0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.4, 2.7, 3), False),
        ((), False),
    ],
    ids=str,
)
def test_steps_are_met_where_they_are_evaluated_first(
    bench: Bench, steps: Sequence[float], is_met: bool
) -> None:
    for step in steps:
        bench.evaluate(step)
    assert bench.session.has_met(STEPS) is is_met


def test_a_stopped_run_has_met_what_it_has_met(bench: Bench) -> None:
    for step in (0, 1):
        bench.evaluate(step)
    assert bench.session.has_met(2)
    assert not bench.session.has_met(3)


def test_what_is_rehearsed_is_what_can_be_kept(bench: Bench) -> None:
    """Whatever a layer returns, and in whatever size, in the steps that are timed."""
    bench.meter.is_timing = True
    outputs: list[Any] = [torch.ones(2, 3), [1, 2], torch.ones(2, 5), torch.ones(3, 5)]
    for step, output in enumerate(outputs):
        bench.evaluate(step)
        bench.session.record(SITE, (COND, UNCOND), output, Decision(reuse=False))
    part = SITE.kind, None
    assert sorted(bench.meter.keeping[part]) == sorted(bench.meter.answers[part]) == [0]
    assert bench.session.peak_nbytes == 2 * 5 * 4
    bench.session.finish("finished")
    assert bench.session.peak_nbytes == 2 * 5 * 4


def test_one_site_is_rehearsed_for_all_that_are_like_it(bench: Bench) -> None:
    """Alike are those of the first evaluation; one that comes later stands alone."""
    late, rule = type(SITE)(SITE.kind, 7), bench.session.rule_of(SITE)
    session = CalibratingSession(
        dict.fromkeys((SITE, NEXT_SITE, late), rule),
        LINE, bench.report, bench.recorder, bench.meter,
    )  # fmt: skip
    value, one = torch.ones(2, 3), 2 * 3 * 4
    for step, (sites, kept) in enumerate([
        ((SITE, NEXT_SITE), 0),
        ((SITE, NEXT_SITE), one),
        ((SITE, NEXT_SITE, late), 2 * one),
    ]):  # fmt: skip
        bench.meter.is_timing = step > 0
        session.start_evaluation(1.0 - step / STEPS)
        for site in sites:
            session.record(site, (COND, UNCOND), value, Decision(reuse=False))
        assert session.peak_nbytes == kept


def test_of_a_row_of_blocks_all_are_kept_and_one_answers(bench: Bench) -> None:
    class Listed(Meter):
        """A meter that also lists how often what is timed counts."""

        def __init__(self) -> None:
            super().__init__(torch.device("cpu"))
            self.counted: list[tuple[Any, int]] = []

        def timing(self, seconds: Any, times: int = 1) -> Any:
            self.counted.append((seconds, times))
            return super().timing(seconds, times)

    paths = ("double_blocks.0", "double_blocks.1", "single_blocks.0", "single_blocks.1")
    blocks = [type(SITE)(SiteKind.BLOCK, index, path) for index, path in enumerate(paths)]
    meter, rule = Listed(), bench.session.rule_of(SITE)
    session = CalibratingSession(
        dict.fromkeys(blocks, rule), LINE, bench.report, bench.recorder, meter
    )
    for step in range(2):
        meter.is_timing = step == 1
        session.start_evaluation(1.0 - step / STEPS)
        for block in blocks:
            given, output = torch.ones(2, 3), torch.full((2, 3), 3.0)
            session.record(block, (COND, UNCOND), output, Decision(reuse=False), given)
    part = SiteKind.BLOCK, None
    assert meter.counted == [(meter.keeping[part], 4), (meter.answers[part], 2)]
    assert session.rows == []


def test_guidance_is_compared_by_its_difference(bench: Bench) -> None:
    """Its value is a pair, of which the branch that runs counts as zero."""
    site = bench.session.rule_of(SITE)
    guidance = type(SITE)(SiteKind.GUIDANCE, 0)
    session = CalibratingSession({guidance: site}, LINE, bench.report, bench.recorder, bench.meter)
    for step in range(2):
        session.start_evaluation(1.0 - step / STEPS)
        pair = (torch.full((1, 4), 1e3), torch.full((1, 4), 1.0 + step))
        session.record(guidance, [COND], pair, session.decide(guidance, [COND]))
    assert bench.recorder.rows(False)[Place(SiteKind.GUIDANCE)][0][0] == pytest.approx(0.5)
