"""What Step Cache says where a run does not allow the speed that was asked for."""

from __future__ import annotations

import pytest
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.methods import StepCache
from stepcache.cache_core.plan import Plan


@pytest.mark.parametrize(
    ("speed", "steps", "words"),
    [(5.0, 4, "3 of these 4 steps have to run the model, so that at most 1.33"),
     (5.0, 8, "3 of these 8 steps have to run the model, so that at most 2.67"),
     (5.0, 12, "3 of these 12 steps have to run the model, so that at most 4.00")],
)  # fmt: skip
def test_a_speed_beyond_the_steps_is_told(speed: float, steps: int, words: str) -> None:
    fitted = StepCache(speed).fitted(Timeline.even(steps))
    note = fitted.notes[0]
    assert words in note and f"speed {speed:g} was asked for" in note
    assert "notes" not in fitted.describe()


@pytest.mark.parametrize(
    ("speed", "steps"), [(2.0, 20), (4 / 3, 10), (1.5, 9), (3.0, 50), (1.0, 2)]
)
def test_a_speed_that_is_reached_needs_no_words(speed: float, steps: int) -> None:
    assert StepCache(speed).fitted(Timeline.even(steps)).notes == ()


def test_what_a_window_leaves_of_the_speed_is_told() -> None:
    (note,) = StepCache(2.0, start_percent=0.5).fitted(Timeline.even(20)).notes
    (rule,) = StepCache(2.0, start_percent=0.5).rules()
    computed = Plan.of(rule.when, Timeline.even(20)).strip.count("C")
    assert f"{computed} of these 20 steps" in note


@pytest.mark.parametrize(
    ("steps", "speed", "computed"), [(4, 4 / 3, 3), (8, 4 / 3, 6), (8, 2.0, 4)]
)
def test_in_a_run_of_few_steps_what_is_as_fast_and_loses_less_is_told(
    steps: int, speed: float, computed: int
) -> None:
    (note,) = StepCache(speed).fitted(Timeline.even(steps)).notes
    assert f"in a run of {steps} steps" in note and f"{computed} steps at speed 1" in note
    assert f"20 steps at speed {20 / computed:.2g}" in note


@pytest.mark.parametrize(
    ("settings", "steps", "words"),
    [({"speed": 2.0}, 3, "a run of 3 steps is too short"),
     ({"speed": 5.0}, 2, "a run of 2 steps is too short"),
     ({"speed": 1.1}, 4, "speed 1.1 leaves out none of 4 steps; 1.33 leaves out one"),
     ({"speed": 2.0, "start_percent": 0.97}, 20, "start_percent and end_percent leave nothing")],
)  # fmt: skip
def test_where_every_step_computes_it_says_why(
    settings: dict[str, float], steps: int, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        StepCache(**settings).fitted(Timeline.even(steps))


def test_a_run_of_one_step_has_a_remark_of_its_own() -> None:
    assert StepCache(2.0).fitted(Timeline.even(1)).notes == ()
