"""What parts cost: operations by formula, with results that stay the same to the last bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from clocks import HandClock
from stepcache.cache_core.calibration.meter import FlopCounter, Meter, Steps
from stepcache.cache_core.session import Compute
from stepcache.cache_core.sites import Part, SiteKind
from torch import nn

CPU = torch.device("cpu")
SELF, FEED_FORWARD = (SiteKind.SELF_ATTENTION, None), (SiteKind.FEED_FORWARD, None)
BLOCK, DEEP = (SiteKind.BLOCK, None), (SiteKind.DEEP_BRANCH, 3)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """What meters take the time from."""
    clock = HandClock()
    monkeypatch.setattr("stepcache.cache_core.calibration.meter.perf_counter", clock)
    return clock


_generator = torch.Generator().manual_seed(0)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=_generator)


TOKENS, WEIGHT, BIAS = random(2, 5, 8), random(6, 8), random(6)
Q, K, V = random(2, 4, 5, 8), random(2, 4, 7, 8), random(2, 4, 7, 6)
PICTURE, KERNEL = random(2, 4, 9, 7), random(6, 4, 3, 3)
HEAD = 2 * 5 * 7 * (8 + 6)
"""Of one head: 5 queries by 7 keys of width 8, then by 7 values of width 6."""

COUNTED: dict[str, tuple[Callable[[], torch.Tensor], int]] = {
    "linear": (lambda: F.linear(TOKENS, WEIGHT, BIAS), 2 * 10 * 8 * 6),
    "linear without bias": (lambda: F.linear(TOKENS, WEIGHT), 2 * 10 * 8 * 6),
    "linear by name": (lambda: F.linear(weight=WEIGHT, input=TOKENS), 2 * 10 * 8 * 6),
    "matmul": (lambda: TOKENS @ WEIGHT.T, 2 * 10 * 8 * 6),
    "matmul with a vector": (lambda: TOKENS @ WEIGHT[0], 2 * 10 * 8),
    "matmul in heads": (lambda: Q @ K.transpose(-1, -2), 2 * 8 * 5 * 8 * 7),
    "mm": (lambda: torch.mm(TOKENS[0], WEIGHT.T), 2 * 5 * 8 * 6),
    "addmm": (lambda: torch.addmm(BIAS, TOKENS[0], WEIGHT.T), 2 * 5 * 8 * 6),
    "bmm": (lambda: torch.bmm(TOKENS, TOKENS.transpose(1, 2)), 2 * 2 * 5 * 8 * 5),
    "baddbmm": (
        lambda: torch.baddbmm(torch.ones(2, 5, 5), TOKENS, TOKENS.transpose(1, 2)),
        2 * 2 * 5 * 8 * 5,
    ),
    "einsum": (lambda: torch.einsum("bhqd,bhkd->bhqk", Q, K), 2 * 8 * 5 * 8 * 7),
    "conv1d": (lambda: F.conv1d(PICTURE[..., 0], KERNEL[..., 0]), 2 * (2 * 6 * 7) * 4 * 3),
    "conv2d": (lambda: F.conv2d(PICTURE, KERNEL, padding=1), 2 * (2 * 6 * 9 * 7) * 4 * 9),
    "conv2d in groups": (
        lambda: F.conv2d(PICTURE, KERNEL[:, :2], groups=2), 2 * (2 * 6 * 7 * 5) * 2 * 9
    ),
    "conv2d with stride": (
        lambda: F.conv2d(PICTURE, KERNEL, stride=2), 2 * (2 * 6 * 4 * 3) * 4 * 9
    ),
    "conv3d": (
        lambda: F.conv3d(PICTURE[:, :, None], KERNEL[:, :, None]), 2 * (2 * 6 * 7 * 5) * 4 * 9
    ),
    "transposed conv2d": (
        lambda: F.conv_transpose2d(PICTURE, KERNEL.transpose(0, 1)), 2 * (2 * 4 * 9 * 7) * 6 * 9
    ),
    "attention": (lambda: F.scaled_dot_product_attention(Q, K, V), 8 * HEAD),
    "attention with a mask": (
        lambda: F.scaled_dot_product_attention(Q, K, V, attn_mask=torch.zeros(5, 7)), 8 * HEAD
    ),
    "attention in groups": (
        lambda: F.scaled_dot_product_attention(Q, K[:, :2], V[:, :2], enable_gqa=True), 8 * HEAD
    ),
    "attention over three axes": (
        lambda: F.scaled_dot_product_attention(Q[0], K[0], V[0]), 4 * HEAD
    ),
    "attention of one prompt for all": (
        lambda: F.scaled_dot_product_attention(Q, K[:1], V[:1]), 8 * HEAD
    ),
    "what multiplies no matrices": (lambda: F.gelu(TOKENS) * 2 + F.layer_norm(TOKENS, (8,)), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTED)
def test_operations_are_counted_by_formula_and_change_nothing(name: str) -> None:
    compute, expected = COUNTED[name]
    with torch.inference_mode():
        plain = compute()
        with FlopCounter() as counter:
            counted = compute()
    assert torch.equal(counted, plain)
    assert counter.total == expected


@pytest.mark.parametrize("guard", [torch.no_grad, torch.enable_grad])
def test_outside_of_inference_mode_they_are_the_same(guard: type) -> None:
    """There torch takes linear layers and attention apart before anybody is told."""
    for name in ("linear", "matmul", "bmm", "einsum", "conv2d"):
        compute, expected = COUNTED[name]
        with guard():
            plain = compute()
            with FlopCounter() as counter:
                assert torch.equal(compute(), plain)
        assert counter.total == expected, name


def test_what_is_called_inside_a_part_belongs_to_it() -> None:
    meter, layer = Meter(CPU), nn.Linear(8, 8)
    with torch.inference_mode(), meter.counting_flops():
        layer(TOKENS)
        for times in (1, 2):
            stop = meter.start(SELF)
            for _ in range(times):
                layer(TOKENS)
            stop()
        inner = meter.start(FEED_FORWARD)
        inner()
    one = 2 * 10 * 8 * 8
    assert meter.all_flops == 4 * one
    assert meter.flops == {SELF: 3 * one, FEED_FORWARD: 0}


def test_shares_are_of_everything_or_not_known() -> None:
    meter = Meter(CPU)
    assert meter.flop_shares() == {}, "nothing was counted"
    meter.all_flops = 200
    meter.flops.update({SELF: 50, FEED_FORWARD: 100})
    assert meter.flop_shares() == {SELF: 0.25, FEED_FORWARD: 0.5}
    meter.flops[FEED_FORWARD] = 0
    assert meter.flop_shares() == {}, "a kernel that torch does not know"


def test_an_empty_deep_branch_costs_nothing() -> None:
    """The deepest one of a UNet without a middle block, such as KOALA."""
    meter = Meter(CPU)
    meter.all_flops = 200
    deep = SiteKind.DEEP_BRANCH
    meter.flops.update({SELF: 50, (deep, 0): 100, (deep, 5): 0})
    assert meter.flop_shares() == {SELF: 0.25, (deep, 0): 0.5, (deep, 5): 0.0}


def test_an_error_while_counting_ends_it() -> None:
    meter = Meter(CPU)
    with pytest.raises(RuntimeError), meter.counting_flops():
        TOKENS @ WEIGHT
    assert not meter.is_measuring, "neither counting nor timing"


def steps_of(*seconds: float, evaluations: int = 1) -> Steps:
    """A run of steps that took so long, all of them timed."""
    every = range(len(seconds))
    return Steps(dict(enumerate(seconds)), dict.fromkeys(every, evaluations), frozenset(every))


def test_seconds_are_those_of_the_parts_without_those_of_measuring(clock: HandClock) -> None:
    meter = Meter(CPU)
    assert not meter.is_measuring, "nothing is timed yet"
    meter.is_timing = True
    stop = meter.start(SELF)
    clock.move(0.25)
    with meter.not_counted():
        clock.move(2.0)
    stop()
    assert meter.own_seconds == 2.0
    assert meter.seconds == {SELF: {0: 0.25}}
    assert meter.second_shares(steps_of(0.5)) == {SELF: 0.5}
    assert meter.second_shares(steps_of(0.001)) == {SELF: 1.0}, "a share, whatever the clock says"


def test_a_disturbed_step_does_not_count() -> None:
    meter = Meter(CPU)
    meter.seconds[SELF].update({0: 0.5, 1: 0.5, 2: 9.5, 3: 0.5})
    assert meter.second_shares(steps_of(1.0, 1.0, 10.0, 1.0)) == {SELF: 0.5}
    assert meter.second_shares(steps_of(1.0, 9.0, 10.0, 1.0)) == {SELF: 0.5}


def test_what_an_answer_takes_is_not_saved(clock: HandClock) -> None:
    """Answers are rehearsed now and then, and would be given in every evaluation."""
    meter = Meter(CPU)
    meter.seconds[SELF].update({0: 0.75, 1: 0.75, 2: 0.75})
    meter.step = 1
    with meter.timing(meter.answers[SELF]):
        clock.move(0.25)
    assert meter.answers == {SELF: {1: 0.25}}
    meter.answers[SELF].update({0: 0.0, 2: 10.0})
    meter.answers[FEED_FORWARD][1] = 0.1  # another node took it out of our hands
    for evaluations, expected in ((1, 0.5), (2, 0.25)):
        steps = steps_of(1.0, 1.0, 1.0, evaluations=evaluations)
        assert meter.second_shares(steps) == {SELF: expected}
    none = meter.second_shares(steps_of(1.0, 1.0, 1.0, evaluations=1000))
    assert none == {SELF: 0.0}, "an answer that takes longer saves none"


def test_what_keeping_takes_is_told_apart(clock: HandClock) -> None:
    meter = Meter(CPU)
    with meter.timing(meter.keeping[SELF]):
        clock.move(0.125)
    assert meter.keeping == {SELF: {0: 0.125}}
    assert not meter.answers
    assert meter.keeping_shares(steps_of(0.5, 0.5, evaluations=2)) == {SELF: 0.5}
    with meter.timing(meter.keeping[FEED_FORWARD], 3):
        clock.move(0.25)
    assert meter.keeping[FEED_FORWARD] == {0: 0.75}, "one for three"


def test_what_asking_takes_is_told_from_what_is_computed_and_measured(clock: HandClock) -> None:
    meter = Meter(CPU)

    def measure() -> None:
        with meter.not_counted():
            clock.move(2.0)

    def compute(one: int, *, other: int) -> int:
        clock.move(4.0)
        measure()
        return one + other

    def answer(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        clock.move(0.125)
        result = compute(*args, **kwargs)
        measure()
        return 2 * result

    assert meter.timed_dispatch(answer, SELF)(compute, (1,), {"other": 2}) == 6
    assert meter.asking == {SELF: {0: 0.125}}
    assert meter.asking_shares(steps_of(0.5, 0.5, evaluations=2)) == {SELF: 0.5}


def test_an_answer_around_others_counts_its_own_time_alone(clock: HandClock) -> None:
    meter = Meter(CPU)

    def answer(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        clock.move(0.25)
        return compute(*args, **kwargs)

    inner = meter.timed_dispatch(answer, SELF)
    meter.timed_dispatch(answer, None)(lambda: inner(clock.move, (4.0,), {}), (), {})
    assert meter.asking == {SELF: {0: 0.25}, None: {0: 0.25}}


def test_what_a_processor_does_beside_another_device_costs_nothing() -> None:
    meter = Meter(torch.device("meta"))

    def answer(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return compute(*args, **kwargs)

    assert meter.timed_dispatch(answer, SELF) is answer
    assert meter.asking_shares(steps_of(1.0)) == {}


@pytest.mark.parametrize(("name", "part"), [("block", BLOCK), ("deep_branch 3", DEEP)])
def test_what_was_sensed_is_believed_where_it_saves_more(name: str, part: Part) -> None:
    """A call that took too long was disturbed, or was not made for all of a step's streams."""
    for seconds, expected in ((0.2, 0.7), (0.5, 0.6), (math.inf, 0.6)):
        meter = Meter(CPU)
        meter.seconds[part].update({0: 0.6, 1: 0.6})
        meter.calls.update({0: 0.9, 1: 0.9})
        meter.probed[name][2] = seconds
        found = meter.second_shares(steps_of(1.0, 1.0))
        assert found == pytest.approx({part: expected})
        assert meter.layers_share(steps_of(1.0, 1.0)) == 0.0


def test_layers_together_are_what_was_sensed() -> None:
    meter = Meter(CPU)
    meter.seconds[SELF].update({0: 0.3, 1: 0.3})
    meter.calls.update({0: 0.9, 1: 0.9})
    meter.probed["layers"][1] = 0.2
    assert meter.layers_share(steps_of(1.0, 1.0)) == pytest.approx(0.7)
    assert meter.second_shares(steps_of(1.0, 1.0)) == {SELF: 0.3}


@pytest.mark.parametrize("total", [0.0, -1.0, float("nan"), float("inf")])
def test_without_seconds_there_are_no_shares(total: float) -> None:
    meter = Meter(CPU)
    meter.seconds[SELF][0] = meter.keeping[SELF][0] = meter.probed["layers"][0] = 1.0
    meter.asking[SELF][0] = 1.0
    for steps in (steps_of(total), steps_of()):
        assert meter.second_shares(steps) == {}
        assert meter.keeping_shares(steps) == meter.asking_shares(steps) == {}
        assert meter.layers_share(steps) == 0.0
