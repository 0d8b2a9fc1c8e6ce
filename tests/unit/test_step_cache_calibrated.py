"""Step Cache by a calibration: what it plans, says and refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from calibration_files import made, noise
from stepcache.cache_core.calibration.planning import Planner
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.methods import Method, StepCache
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.s_curve import SCurve

STEPS = 12
CALIBRATION = made(STEPS, noise=noise(STEPS))
LIKE_IT = CALIBRATION.timeline
TWICE = StepCache(2.0, calibration=CALIBRATION, label="mine.json")


def plan_of(method: Method, timeline: Timeline) -> Plan:
    (rule,) = method.rules()
    return Plan.of(rule.when, timeline)


def computed_by(method: Method, timeline: Timeline) -> set[int]:
    strip = plan_of(method.fitted(timeline), timeline).strip
    return {step for step, letter in enumerate(strip) if letter == "C"}


def test_the_steps_of_a_run_are_those_that_the_planner_finds() -> None:
    planner = Planner(noise(STEPS), LIKE_IT.half_log_snrs)
    assert computed_by(TWICE, LIKE_IT) == planner.plan(2.0)
    fitted = TWICE.fitted(LIKE_IT)
    error = 100 * planner.error(planner.plan(2.0))
    assert fitted.notes == (
        f"predicted error of the final latents: {error:.2g} % of the noise that a run begins with, "
        f"for samplers that step on from one answer and add no noise",
    )
    assert fitted.describe() == TWICE.describe()
    assert TWICE.describe() == (
        "Step Cache (speed 2.0, start_percent 0.0, end_percent 1.0, carried auto, calibration "
        "mine.json)"
    )
    assert "calibration" not in StepCache(2.0).describe()


def test_another_run_gets_a_plan_of_its_own() -> None:
    ends = (LIKE_IT.half_log_snrs[0], LIKE_IT.half_log_snrs[-2])
    levels = tuple(ends[0] + (ends[1] - ends[0]) * step / 19 for step in range(20))
    longer = replace(Timeline.even(20), half_log_snrs=(*levels, 16.0))
    assert computed_by(TWICE, longer) == Planner(noise(STEPS), longer.half_log_snrs).plan(2.0)


def test_outside_of_the_window_every_step_computes_and_the_error_is_less() -> None:
    late = replace(TWICE, start_percent=0.5)
    computed = computed_by(late, LIKE_IT)
    assert computed == computed_by(TWICE, LIKE_IT) | set(range(6))
    planner = Planner(noise(STEPS), LIKE_IT.half_log_snrs)
    assert f"{100 * planner.error(computed):.2g} %" in late.fitted(LIKE_IT).notes[0]


def test_where_no_noise_levels_are_known_the_curve_stands_in_and_says_so() -> None:
    even = Timeline.even(STEPS)
    assert computed_by(TWICE, even) == SCurve(2.0).computed_steps(STEPS)
    (note,) = TWICE.fitted(even).notes
    assert "planned without the calibration" in note


def test_without_a_calibration_nothing_is_fitted() -> None:
    method = StepCache(2.0)
    assert method.fitted(LIKE_IT) is method
    assert method.made_for is None and method.notes == ()


def test_it_is_for_the_calibrated_model_and_passes_remarks_on() -> None:
    assert TWICE.made_for == CALIBRATION.model
    newer = replace(CALIBRATION, unread={"more": 1})
    assert replace(TWICE, calibration=newer).fitted(LIKE_IT).notes[0] == newer.remarks[0]


def test_what_is_of_no_use_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"mine.json has no measured .*Calibrate again .*none"):
        replace(TWICE, calibration=made(STEPS))
    with pytest.raises(ConfigError, match=r'carried is "denoised", about which .*"none"'):
        replace(TWICE, carried="denoised")
    early = replace(Timeline.even(3), half_log_snrs=(-9.0, -8.0, -7.0, 16.0))
    with pytest.raises(ConfigError, match="were not measured"):
        TWICE.fitted(early)


def test_the_text_is_about_a_run_like_the_calibrated_one() -> None:
    lines = TWICE.expectation().splitlines()
    assert lines[0] == TWICE.describe()
    assert (
        lines[1] == f"12 steps:  6 run the model  {plan_of(TWICE.fitted(LIKE_IT), LIKE_IT).strip}"
    )
    assert lines[2].startswith("predicted error of the final latents: ")
    assert lines[3:] == ["C computed   R forecast"]


def test_at_speed_1_everything_computes() -> None:
    assert computed_by(replace(TWICE, speed=1.0), LIKE_IT) == set(range(STEPS))
    (rule,) = replace(TWICE, speed=1.0).fitted(LIKE_IT).rules()
    assert rule.when.never_reuses
