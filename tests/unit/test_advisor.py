"""Which method is advised: by brute force over all settings, and in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from calibration_files import BLOCK, CROSS, DEEP, FEED_FORWARD, GUIDANCE, SELF
from stepcache.cache_core.advisor import NOISE, Advice, advise
from stepcache.cache_core.calibration import (
    Calibration,
    Costs,
    ErrorTable,
    ModelFacts,
    Place,
    RunFacts,
    Wish,
    predict,
)
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.methods import (
    PAB,
    CalibratedSmoothCache,
    DeepCache,
    FasterCache,
    Method,
    SmoothCache,
    StepCache,
    TGate,
)
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

STEPS, LOOKAHEAD = 12, 3
LINE = Timeline.even(STEPS)
PLACES = {
    "self": Place(SELF), "cross": Place(CROSS), "feed": Place(FEED_FORWARD),
    "block": Place(BLOCK), "deep": Place(DEEP, 1), "guidance": Place(GUIDANCE),
}  # fmt: skip
SHARES = {
    (SELF, None): 0.25, (CROSS, None): 0.15, (FEED_FORWARD, None): 0.3, (BLOCK, None): 0.9,
    (DEEP, 1): 0.6, (DEEP, 2): 0.5,
}  # fmt: skip
ADAPTIVE, EULER = (RunFacts(name, "normal", 7.0, (4, 8, 8)) for name in ("dpm_adaptive", "euler"))
"""Runs in which no evaluation is forecast, and in which they are."""
INFLUENCE = {"layers": 0.5, "attention": 0.6, "block": 0.9, "deep_branch 1": 0.8, "guidance": 0.5}


def calibration(but: Mapping[str, float] | None = None, **changes: Any) -> Calibration:
    """All changes grow with the distance and are greatest in the middle of the run, in which no
    evaluation is forecast.

    Args:
        but: by place another size of its changes; 0 leaves the place out.
        changes: of fields.
    """
    sizes = {**dict.fromkeys(PLACES, 0.1), **(but or {})}
    rows = {PLACES[name]: lags(size) for name, size in sizes.items() if size}
    counts = {SELF: 4, CROSS: 4, FEED_FORWARD: 4, BLOCK: 4, DEEP: 6, GUIDANCE: 1}
    made = Calibration(
        ModelFacts("toy", "ToyNet", "0123", counts),
        ADAPTIVE,
        ErrorTable(LINE.sigmas, LOOKAHEAD, rows),
        samples=1,
        costs=Costs(SHARES, SHARES, "toy device"),
        influence=INFLUENCE,
    )
    return replace(made, **changes)


def lags(size: float) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(
            size * lag * (0.5 + math.sin(math.pi * (source + lag / 2) / STEPS))
            for source in range(STEPS - lag)
        )
        for lag in range(1, LOOKAHEAD + 1)
    )


def advised(found: Calibration, speedup: float) -> Advice:
    return advise(found, LINE, speedup, "toy.json")


def others(found: Calibration) -> list[Method]:
    """Settings that a person may try, of every method."""
    windows = [PercentRange(*window) for window in ((0.0, 1.0), (0.1, 0.9), (0.2, 1.0), (0.3, 0.9))]
    tried: list[Method] = [
        *(PAB(own, 1, cross, w) for own, cross, w in product((1, 2, 4), (2, 3, 6), windows)),
        *(PAB(block=block, window=window) for block, window in product((2, 3, 5), windows)),
        *(DeepCache(interval, 1) for interval in range(2, 9)),
        *(TGate(gate, 2, interval) for gate, interval in product((5, 6, 8, 10), (1, 3, 5))),
        *(
            FasterCache(
                attention, attention, 1,
                attention_window=PercentRange(start, 1.0), guidance_interval=interval,
                guidance_window=PercentRange(start, 1.0),
            )
            for attention, start, interval in product((1, 2, 3), (0.25, 0.5), (2, 4, 8))
        ),
    ]  # fmt: skip
    for parts, wished in product(("layers", "blocks"), (1.1, 1.3, 1.5, 1.8)):
        tried.append(CalibratedSmoothCache(found, Wish("speedup", wished, LOOKAHEAD, parts)))
    return tried


@pytest.mark.parametrize("speedup", [1.1, 1.5, 1.8])
@pytest.mark.parametrize("best", [None, *PLACES])
def test_nothing_that_is_fast_enough_loses_less(best: str | None, speedup: float) -> None:
    found = calibration({best: 0.02} if best else None)
    advice = advised(found, speedup)
    assert advice.prediction == predict(found, advice.method.rules(), LINE)
    assert advice.prediction is not None
    assert advice.speedup == advice.prediction.speedup >= 0.995 * speedup
    losses = [
        prediction.error
        for prediction in (predict(found, method.rules(), LINE) for method in others(found))
        if prediction.speedup >= speedup
    ]
    assert losses, "there must be something to compare with"
    assert advice.prediction.error <= min(losses) + 1e-12
    assert "That is the least error predicted for" in advice.reason


@pytest.mark.parametrize(
    ("best", "speedup", "name"),
    [
        ("deep", 1.5, "DeepCache UNet: "),
        ("guidance", 1.4, "Apply FasterCache: "),
        ("feed", 1.2, "SmoothCache Schedule: "),
        ("block", 2.0, "SmoothCache Schedule on whole blocks: "),
    ],
)
def test_the_method_is_taken_whose_parts_change_least(best: str, speedup: float, name: str) -> None:
    advice = advised(calibration({best: 0.001}), speedup)
    assert advice.reason.startswith(name)
    assert advice.method.name == name.removesuffix(": ").removesuffix(" on whole blocks")


def test_who_wishes_for_more_speed_loses_no_less() -> None:
    found = calibration()
    errors = [advised(found, speedup).prediction.error for speedup in (1.1, 1.3, 1.5, 1.8, 2.2)]
    assert errors == sorted(errors)
    assert errors[-1] > errors[0]


def test_what_is_out_of_reach_is_said_and_the_fastest_is_taken() -> None:
    found = calibration()
    advice = advised(found, 30.0)
    assert "Nothing reaches 30.00× here; this is the fastest" in advice.reason
    assert "least error" not in advice.reason
    fastest = max(predict(found, method.rules(), LINE).speedup for method in others(found))
    assert fastest <= advice.prediction.speedup < 30


def test_the_text_says_what_each_method_would_do() -> None:
    advice = advised(calibration(), 1.5)
    first, second, third, *rest, why = advice.reason.splitlines()
    assert why == "Not Step Cache: dpm_adaptive chooses its own steps."
    assert str(advice.prediction) in first
    assert second == "That is the least error predicted for 1.50×. Settings:"
    assert advice.method.describe() == f"{third}, chosen by Step Cache Advisor"
    named = {line.removeprefix("Instead, ").partition(": ")[0] for line in rest}
    assert len(rest) == len(named) == 6
    assert first.partition(": ")[0] not in named
    assert {"Apply PAB on whole blocks", "TGATE Gate"} <= {*named, first.partition(": ")[0]}


def test_only_what_was_measured_is_advised() -> None:
    """Where only self-attention was measured, whatever claims other layers is not judged."""
    only = {**dict.fromkeys(PLACES, 0.0), "self": 0.1}
    advice = advised(calibration(only), 1.1)
    assert advice.method.name in ("SmoothCache Schedule", "Apply PAB")
    kinds = {rule.where.kind for rule in advice.method.rules() if not rule.when.never_reuses}
    assert kinds & {SELF, CROSS, FEED_FORWARD, BLOCK, DEEP, GUIDANCE} == {SELF}
    for name in ("DeepCache", "FasterCache", "TGATE", "on whole blocks"):
        assert name not in advice.reason


def test_a_deep_branch_without_measured_influence_is_not_advised() -> None:
    influence = {name: value for name, value in INFLUENCE.items() if "deep" not in name}
    advice = advised(calibration({"deep": 0.001}, influence=influence), 1.5)
    assert "DeepCache" not in advice.reason


def test_where_costs_are_not_known_nothing_is_promised() -> None:
    advice = advised(calibration(costs=Costs()), 1.5)
    assert advice.prediction.speedup == 1.0
    assert "Nothing reaches 1.50×" in advice.reason


# Whole evaluations.


def lines_of(found: Calibration, speedup: float, steps: int = STEPS) -> list[str]:
    return advise(found, Timeline.even(steps), speedup, "toy.json").reason.splitlines()


@pytest.mark.parametrize("speedup", [1.0, 1.1, 1.8, 4.0])
@pytest.mark.parametrize("best", [None, "feed", "deep"])
def test_where_evaluations_are_forecast_nothing_else_is_proposed(
    best: str | None, speedup: float
) -> None:
    """However little the layers change: their errors are no measure of a forecast."""
    advice = advised(calibration({best: 0.001} if best else None, run=EULER), speedup)
    (rule,) = advice.method.rules()
    assert rule.where.kind is SiteKind.EVALUATION
    computed = Plan.of(rule.when, LINE).strip.count("C")
    assert advice.speedup == STEPS / computed >= 0.995 * speedup
    assert computed == STEPS or STEPS / (computed + 1) < 0.995 * speedup, "no more than is needed"


@pytest.mark.parametrize("steps", [9, 12, 20, 25, 30, 50, 100])
@pytest.mark.parametrize("speedup", [1.1, 1.33, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0])
def test_the_speed_that_is_told_can_be_set_on_the_node(steps: int, speedup: float) -> None:
    table = ErrorTable(Timeline.even(steps).sigmas, 1, {})
    found = calibration(run=EULER, table=table)
    line = Timeline.even(steps)
    advice = advise(found, line, speedup, "toy.json")
    settings = advice.reason.splitlines()[2]
    told = re.search(
        r"^Step Cache \(speed ([\d.]+), start_percent 0.0, end_percent 1.0, ", settings
    )
    assert told is not None, settings
    speed = float(told[1])
    assert speed == round(speed, 2)
    assert StepCache(speed).rules() == advice.method.rules()
    computed = Plan.of(advice.method.rules()[0].when, line).strip.count("C")
    is_reached = steps / computed >= 0.995 * speedup
    assert is_reached == (steps / 3 >= 0.995 * speedup)


def test_the_text_says_why_and_what_each_other_method_would_do() -> None:
    first, second, third, *rest = lines_of(calibration(run=EULER), 1.5)
    assert first == "Step Cache: 1.50× faster, 8 of 12 steps run the model."
    assert second.startswith("In pictures measured with euler this came nearest to the plain")
    assert third == "Step Cache (speed 1.5, start_percent 0.0, end_percent 1.0, carried auto)"
    assert len(rest) == 7 and all(line.startswith("Instead, ") for line in rest)
    assert "Apply PAB on whole blocks" in " ".join(rest)


@pytest.mark.parametrize("speedup", [1.1, 1.8])
def test_methods_inside_the_network_can_be_compared_alone(speedup: float) -> None:
    found = calibration(run=EULER)
    inside = advise(found, LINE, speedup, "toy.json", is_inside=True)
    expected = advised(calibration(), speedup)
    assert inside.method.rules() == expected.method.rules()
    assert inside.prediction == expected.prediction
    assert "Step Cache: " not in inside.reason


def test_what_no_forecast_reaches_is_said_and_the_fastest_is_taken() -> None:
    first, second, *_ = lines_of(calibration(run=EULER), 4.5)
    assert first == "Step Cache: 4.00× faster, 3 of 12 steps run the model."
    assert second == "Nothing reaches 4.50× here; this is the fastest. Settings:"


def test_a_model_without_layers_is_forecast() -> None:
    nothing = dict.fromkeys(PLACES, 0.0)
    first, _, _, *others = lines_of(calibration(nothing, influence={}, run=EULER), 2.0)
    assert first.startswith("Step Cache: 2.00× faster") and others == []


@pytest.mark.parametrize(
    ("sampler", "shift", "is_forecast"),
    [
        ("dpmpp_2m", 3.0, True), ("dpm_adaptive", None, False), ("euler_cfg_pp", 3.0, True),
        ("res_multistep_cfg_pp", None, True), ("res_multistep_cfg_pp", 3.0, False),
    ],
)  # fmt: skip
def test_samplers_with_which_every_step_runs_get_another_method(
    sampler: str, shift: float | None, is_forecast: bool
) -> None:
    run = RunFacts(sampler, "normal", 7.0, (4, 8, 8), shift)
    lines = lines_of(calibration(run=run), 1.5)
    assert lines[0].startswith("Step Cache: ") == is_forecast
    assert lines[-1].startswith("Not Step Cache: ") != is_forecast
    assert is_forecast or sampler in lines[-1]


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m_sde_gpu", "lcm", "seeds_2"])
def test_where_noise_is_added_other_methods_come_first_on_transformers(sampler: str) -> None:
    run = RunFacts(sampler, "normal", 7.0, (4, 8, 8))
    unet = calibration(run=run)
    assert lines_of(unet, 1.5)[0].startswith("Step Cache: ")
    layers = {kind: count for kind, count in unet.model.layers.items() if kind is not DEEP}
    transformer = {"model": replace(unet.model, layers=layers)}
    found = calibration({"deep": 0.0}, run=run, **transformer)
    expected = advised(calibration({"deep": 0.0}, **transformer), 1.5)
    assert advised(found, 1.5).method.rules() == expected.method.rules()
    first, *others, why = lines_of(found, 1.5)
    assert not first.startswith("Step Cache: ") and why == NOISE
    assert "Instead, Step Cache: 1.50× faster, 8 of 12 steps run the model." in others
    # What nothing else reaches is forecast nevertheless.
    first, second, *_ = lines_of(found, 4.0)
    assert first.startswith("Step Cache: 4.00× faster")
    assert second == "Nothing else is as fast. Settings:"


@pytest.mark.parametrize(("steps", "is_few"), [(8, True), (9, False)])
def test_in_a_run_of_few_steps_other_methods_are_proposed(steps: int, is_few: bool) -> None:
    line = Timeline.even(steps)
    table = ErrorTable(line.sigmas, 1, {Place(BLOCK): ((0.1,) * (steps - 1),)})
    found = calibration(run=EULER, table=table)
    lines = lines_of(found, 1.2, steps)
    why = f"Not Step Cache: it loses much in a run of {steps} steps."
    assert (why in lines) == is_few
    assert lines[0].startswith("Step Cache: ") != is_few


def test_an_advised_forecast_is_fitted_to_other_runs() -> None:
    advice = advised(calibration(run=EULER), 2.0)
    assert advice.method.name == StepCache.name and advice.prediction is None
    assert advice.method.describe().endswith("carried auto), chosen by Step Cache Advisor")
    fitted = advice.method.fitted(Timeline.even(30))
    assert fitted.prediction is None
    assert fitted.rules() == StepCache(2.0).rules()
    assert any("loses much" in note for note in advice.method.fitted(Timeline.even(6)).notes)
    with pytest.raises(ConfigError, match="too short"):
        advice.method.fitted(Timeline.even(3))


@pytest.mark.parametrize("speedup", [0.99, 0.0, -2.0, math.nan])
def test_a_speedup_below_1_is_refused(speedup: float) -> None:
    with pytest.raises(ConfigError, match=r"^speedup is .*; expected 1 or more \(1.5: half as"):
        advised(calibration(), speedup)


def test_a_calibration_without_layers_is_refused() -> None:
    nothing = {**dict.fromkeys(PLACES, 0.0), "deep": 0.1}
    with pytest.raises(ConfigError, match=r"calibration toy.json has no layers .* SmoothCache Cal"):
        advised(calibration(nothing, influence={}), 1.5)


# What is advised is a method like any other.


def test_it_acts_and_is_called_as_the_method_that_was_chosen() -> None:
    found = calibration({"deep": 0.001})
    advice = advised(found, 1.5)
    assert advice.method.name == DeepCache.name
    assert advice.method.made_for == found.model
    assert all(rule.where.kind is DEEP for rule in advice.method.rules())
    assert advice.method.describe().startswith("DeepCache UNet (interval ")


def test_a_run_of_other_steps_has_a_prediction_of_its_own() -> None:
    found = calibration({"deep": 0.001})
    advice = advised(found, 1.5)
    fitted = advice.method.fitted(Timeline.even(30))
    assert fitted.prediction is not None
    assert fitted.prediction.table.steps == 30
    assert fitted.prediction != advice.prediction
    assert fitted.describe() == advice.method.describe()


def test_a_schedule_is_made_anew_for_other_steps() -> None:
    advice = advised(calibration({"feed": 0.001}), 1.2)
    fitted: Any = advice.method.fitted(Timeline.even(30))
    assert isinstance(fitted.method, SmoothCache)
    assert {len(compute) for _, _, compute in fitted.method.rows} == {30}
    assert any("other noise levels" in note for note in fitted.notes)


def test_of_a_run_beyond_the_calibration_nothing_is_predicted() -> None:
    """Intervals and windows fit any run, schedules by errors do not."""
    line = Timeline.even(STEPS)
    beyond = replace(line, sigmas=tuple(3 * sigma for sigma in line.sigmas))
    deep = advised(calibration({"deep": 0.001}), 1.5).method.fitted(beyond)
    assert deep.prediction is None
    assert deep.rules()
    schedule = advised(calibration({"feed": 0.001}), 1.2).method
    with pytest.raises(ConfigError, match=r"begins at noise level 3.*Calibrate with this sampler"):
        schedule.fitted(beyond)


@pytest.mark.parametrize(
    "group", ["deep_branch x", "deep_branch ²", "deep_branch -1", "deep_branch 7"]
)
def test_a_group_that_means_no_branch_of_the_table_is_not_proposed(group: str) -> None:
    strange = calibration(influence={**INFLUENCE, group: 0.1})
    assert advised(strange, 1.3).reason == advised(calibration(), 1.3).reason
