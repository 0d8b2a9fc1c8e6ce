"""Which method is advised: by brute force over all settings, and in words."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from advising import INFLUENCE, LINE, LOOKAHEAD, PLACES, STEPS, advised, calibration, inside
from calibration_files import BLOCK, CROSS, DEEP, FEED_FORWARD, GUIDANCE, SELF
from stepcache.cache_core.calibration import (
    Calibration,
    Costs,
    Target,
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
    TGate,
)
from stepcache.cache_core.schedules import PercentRange


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
        tried.append(CalibratedSmoothCache(found, Target("speedup", wished, LOOKAHEAD, parts)))
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
    made = calibration()
    advice = advised(made, 1.5)
    first, second, third, *rest, why = advice.reason.splitlines()
    assert why == "Not Step Cache: dpm_adaptive chooses its own steps."
    assert str(advice.prediction) in first
    assert second == "That is the least error predicted for 1.50×. Settings:"
    assert advice.method.describe() == f"{third}, chosen by Step Cache Advisor"
    named = {line.removeprefix("Instead, ").partition(": ")[0] for line in rest}
    assert len(rest) == len(named)
    assert first.partition(": ")[0] not in named
    assert {*named, first.partition(": ")[0]} == inside(made)
    assert {"Apply PAB on whole blocks", "DeepCache UNet", "TGATE Gate"} < inside(made)


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
