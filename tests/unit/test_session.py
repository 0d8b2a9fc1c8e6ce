"""The session: the one loop that decides between computing and reusing."""

from __future__ import annotations

from dataclasses import replace

from session_bench import COND, NEXT_SITE, SITE, UNCOND, Bench, stream_key
from stepcache.cache_core.approximators import Forecast
from stepcache.cache_core.decisions import NOT_STORED, OTHER_WEIGHTS, TOO_OFTEN, TOO_OLD
from stepcache.cache_core.schedules import Interval, Mask


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
    small, large = stream_key(0, "cond", layout=(1, 8)), stream_key(0, "cond", layout=(1, 16))
    bench.evaluate(0)
    bench.call(small)
    bench.evaluate(1)
    bench.call(large)
    assert bench.forced == {NOT_STORED: 1}


def test_what_other_weights_computed_is_computed_again_and_replaced() -> None:
    bench = Bench(Interval(4), steps=4)
    strong, weak = (replace(COND, weights=strength) for strength in (1.0, 0.5))
    seen: list[float] = []
    for step, stream in enumerate((strong, weak, weak, strong)):
        bench.evaluate(step)
        seen += bench.numbers(stream)
    assert seen == [0, 10, 10, 30]
    assert bench.forced == {OTHER_WEIGHTS: 2}


def test_nothing_is_kept_of_a_stream_in_doubt_and_nothing_answers_for_it() -> None:
    bench, doubted = Bench(Interval(3), steps=6), replace(COND, doubt="nobody tells")
    for step in range(6):
        bench.evaluate(step)
        assert bench.numbers(doubted) == [10.0 * step]
    assert bench.strip == "CCCCCC"
    assert bench.forced == {"nobody tells": 4}
    assert bench.session.store.nbytes == 0


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
    assert bench.report.plans[SITE.kind.value] == "CR"
    bench.evaluate(0)
    assert bench.numbers(COND) == [0]
    bench.evaluate(1)
    assert bench.numbers(COND) == [0]
    assert bench.forced == {}


def test_what_was_computed_out_of_plan_serves_three_evaluations_too() -> None:
    bench = Bench(Mask((True, False)), steps=2)
    seen: list[float] = []
    for _ in range(5):
        bench.evaluate(1)
        seen += bench.numbers(COND)
    assert seen == [0, 0, 0, 0, 40]
    assert bench.forced == {NOT_STORED: 1, TOO_OFTEN: 1}


# What a forecast asks of a session.


def test_an_approximator_is_told_when_what_it_is_given_was_computed() -> None:
    bench = Bench(Mask((True, True, False, True, False)), steps=5, what=Forecast())
    told: list[list[float]] = []
    for step, level in enumerate((-2.0, -1.0, 0.0, 1.0, 2.0)):
        bench.evaluate(step, half_log_snr=level)
        bench.call(COND)
        entry = bench.session.store.get(SITE, COND)
        assert entry is not None
        told.append([clock.half_log_snr for clock in entry.times])
    assert told == [[-2], [-2, -1], [-2, -1], [-1, 1], [-1, 1]]
    assert bench.strip == "CCRCR"


def test_from_now_on_another_approximator_stands_in_and_its_past_begins_anew() -> None:
    bench = Bench(Mask((True, True, False, True, True, False)), steps=6, what=Forecast())
    held = Forecast("denoised", slope=0.0)
    for step in range(6):
        bench.evaluate(step, half_log_snr=step)
        if step == 2:
            bench.session.set_approximator(SITE, held)
            assert bench.session.store.nbytes == 0
            assert bench.session.rule_of(SITE).what is held
        numbers = bench.numbers(COND)
    assert bench.strip == "CCCCCR", "nothing was stored that step 2 could reuse"
    assert bench.forced == {NOT_STORED: 1}
    assert numbers == [40], "the newest is held"
    bench.session.finish("finished")
    assert bench.report.outcome == "finished" and bench.report.observed is not None
