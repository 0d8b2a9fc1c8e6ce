"""Where Step Cache is advised: how fast, in which words, and where it is not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from advising import EULER, LINE, PLACES, STEPS, advised, calibration, inside
from calibration_files import BLOCK, DEEP
from stepcache.cache_core.advisor import advise
from stepcache.cache_core.calibration import Calibration, ErrorTable, Place, RunFacts
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.methods import StepCache
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.sites import SiteKind


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
    made = calibration(run=EULER)
    first, second, third, *rest = lines_of(made, 1.5)
    assert first == "Step Cache: 1.50× faster, 8 of 12 steps run the model."
    assert second.startswith("In pictures measured with euler this came nearest to the plain")
    assert third == "Step Cache (speed 1.5, start_percent 0.0, end_percent 1.0, carried auto)"
    assert all(line.startswith("Instead, ") for line in rest)
    assert {line.removeprefix("Instead, ").partition(": ")[0] for line in rest} == inside(made)


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
def test_off_the_line_other_methods_are_proposed_on_transformers(sampler: str) -> None:
    run = RunFacts(sampler, "normal", 7.0, (4, 8, 8))
    unet = calibration(run=run)
    assert lines_of(unet, 1.5)[0].startswith("Step Cache: ")
    layers = {kind: count for kind, count in unet.model.layers.items() if kind is not DEEP}
    transformer = replace(unet.model, layers=layers)
    lines = lines_of(calibration({"deep": 0.0}, run=run, model=transformer), 1.5)
    assert lines[-1] == f"Not Step Cache: {sampler} adds noise, which no forecast foresees."
    assert not any("Step Cache: 1.50×" in line for line in lines)


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
