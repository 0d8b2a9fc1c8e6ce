"""Two branches of one picture: their mean after a gate, and never the mean of two pictures."""

from __future__ import annotations

from dataclasses import replace

import torch
from session_bench import COND, SITE, UNCOND, Bench, stream_key
from stepcache.cache_core.approximators import BranchMean, CopyBranch
from stepcache.cache_core.decisions import NOT_STORED
from stepcache.cache_core.schedules import From, Interval
from stepcache.cache_core.site_call import SiteCall

GATE = From(2)
MEAN = BranchMean(2)


def gated() -> Bench:
    """Two guided steps: cond is 0 and then 10, uncond 1 and then 11."""
    return Bench(GATE, steps=5, what=MEAN)


def test_after_the_gate_one_branch_gets_the_mean_of_both() -> None:
    bench = gated()
    for step in range(2):
        bench.evaluate(step)
        bench.call(UNCOND, COND)
    for step in range(2, 5):
        bench.evaluate(step)
        assert bench.numbers(UNCOND) == [10.5]
    assert bench.strip == "CCRRR" and bench.forced == {}


def test_the_mean_takes_the_memory_of_one_branch() -> None:
    bench = gated()
    bench.evaluate(1)
    bench.call(UNCOND, COND)
    assert bench.session.store.nbytes == 2 * 2 * 4
    bench.evaluate(2)
    bench.call(UNCOND)
    assert bench.session.store.nbytes == 1 * 2 * 4


def test_either_branch_may_go_on_and_in_either_order() -> None:
    for kept in (COND, UNCOND):
        for order in ((COND, UNCOND), (UNCOND, COND)):
            bench = gated()
            bench.evaluate(1)
            for stream in order:
                bench.call(stream)
            bench.evaluate(2)
            assert bench.numbers(kept) == [0.5]


def test_where_both_branches_go_on_both_get_the_mean() -> None:
    bench = gated()
    bench.evaluate(1)
    bench.call(UNCOND, COND)
    for step in (2, 3):
        bench.evaluate(step)
        assert bench.numbers(UNCOND, COND) == [0.5, 0.5]


def test_one_after_the_other_both_get_the_mean_and_no_third_prompt_does() -> None:
    bench = gated()
    bench.evaluate(1)
    bench.call(UNCOND, COND)
    later = replace(UNCOND, uuid="later")
    for step in (2, 3):
        bench.evaluate(step)
        assert bench.numbers(UNCOND) == bench.numbers(COND) == [0.5]
    assert bench.forced == {}
    bench.call(later)
    assert bench.forced == {NOT_STORED: 1}


def test_one_branch_alone_keeps_its_own_value() -> None:
    bench = gated()
    bench.evaluate(1)
    bench.call(COND)
    bench.evaluate(2)
    assert bench.numbers(COND) == [0]


def test_two_pictures_are_never_averaged() -> None:
    # A batch of two pictures is two rows of each stream; other windows are other streams.
    bench = gated()
    bench.evaluate(1)
    windows = [replace(stream, window=(w,)) for w in (0, 1) for stream in (COND, UNCOND)]
    for stream in windows:
        bench.evaluate(1)
        bench.call(stream)
    bench.evaluate(2)
    # Evaluations 1 and 2 gave window 0 its 10 and 21, evaluations 3 and 4 window 1 its 30 and 41.
    assert bench.numbers(windows[0]) == [(10 + 21) / 2]
    assert bench.numbers(windows[3]) == [(30 + 41) / 2]


def test_rows_of_a_batch_stay_apart() -> None:
    bench = gated()
    rows = {COND: [[1.0], [2.0]], UNCOND: [[5.0], [10.0]]}
    bench.evaluate(1)
    for stream, value in rows.items():
        SiteCall(bench.session, SITE, [stream]).run(lambda value=value: torch.tensor(value))
    bench.evaluate(2)
    answer = SiteCall(bench.session, SITE, [UNCOND]).run(lambda: torch.zeros(0))
    assert isinstance(answer, torch.Tensor)
    assert answer.tolist() == [[3.0], [6.0]]


def test_several_prompts_on_one_side_keep_their_own_values() -> None:
    left, right = COND, stream_key(0, "another prompt")
    bench = gated()
    bench.evaluate(1)
    bench.call(left)
    bench.evaluate(1)
    bench.call(right)
    bench.evaluate(1)
    bench.call(UNCOND)
    bench.evaluate(2)
    assert bench.numbers(left) == [0] and bench.numbers(right) == [10]


def test_before_the_gate_a_reuse_is_no_mean() -> None:
    bench = Bench(Interval(2), steps=4, what=BranchMean(3))
    bench.evaluate(0)
    bench.call(UNCOND, COND)
    bench.evaluate(1)
    assert bench.numbers(UNCOND, COND) == [1, 0]


def test_a_copied_branch_is_reused_from_the_first_planned_step() -> None:
    bench = Bench(GATE, steps=4, what=CopyBranch())
    given = torch.tensor([[4.0]])
    bench.evaluate(2)
    call = SiteCall(bench.session, SITE, [COND])
    assert call.reuses()
    answer = call.recall(given=given)
    assert isinstance(answer, torch.Tensor)
    assert torch.equal(answer, given) and answer.data_ptr() != given.data_ptr()
    assert bench.session.store.peak_nbytes == 0
