"""What rules will save and lose in a run, against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from calibration_files import BLOCK, CROSS, DEEP, FEED_FORWARD, GUIDANCE, SELF
from stepcache.cache_core.approximators import (
    Constant,
    CopyBranch,
    Extrapolate,
    FrequencyDelta,
    Hold,
)
from stepcache.cache_core.calibration import (
    Calibration,
    Costs,
    ErrorTable,
    Lags,
    ModelFacts,
    Place,
    Prediction,
    RunFacts,
    predict,
)
from stepcache.cache_core.calibration.choose import rules_of
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.rules import Rule
from stepcache.cache_core.schedule_file import Rows
from stepcache.cache_core.schedules import From, Interval, Mask, Never, Schedule
from stepcache.cache_core.sites import SiteKind, SiteSelector

LINE = Timeline.even(4)

CALIBRATION = Calibration(
    ModelFacts("toy", "ToyNet", "0123", {SELF: 4, FEED_FORWARD: 4, BLOCK: 4, DEEP: 3, GUIDANCE: 1}),
    RunFacts("euler", "normal", 7.0, (4, 8, 8)),
    ErrorTable(
        LINE.sigmas, 2,
        {
            Place(SELF): ((0.1, 0.2, 0.3), (0.25, 0.4)),
            Place(SELF, 1): ((0.5, 0.6, 0.7), (0.8, 0.9)),
            Place(SELF, None, "cond"): ((9.0,) * 3, (9.0,) * 2),
            Place(FEED_FORWARD): ((0.05, 0.1, 0.15), (0.1, 0.2)),
            Place(BLOCK): ((0.02, 0.04, 0.08), (0.05, 0.1)),
            Place(DEEP, 1): ((0.2, 0.3, 0.4), (0.4, 0.5)),
            Place(GUIDANCE): ((0.3, 0.2, 0.1), (0.4, 0.25)),
        },
    ),
    samples=2,
    costs=Costs(
        {(SELF, None): 0.3, (FEED_FORWARD, None): 0.4, (BLOCK, None): 0.9, (DEEP, 1): 0.5},
        {(SELF, None): 0.4, (FEED_FORWARD, None): 0.3, (BLOCK, None): 0.8, (DEEP, 1): 0.6},
    ),
    influence={
        "layers": 0.5, "attention": 0.8, "block": 1.5, "deep_branch 1": 0.9, "guidance": 0.6,
    },
)  # fmt: skip


HOLD = Hold()


def rule(
    kind: SiteKind, when: Schedule, what: Any = HOLD, *indices: int, but: tuple[int, ...] = ()
) -> Rule:
    where = SiteSelector(kind, frozenset(indices) or None, frozenset(but))
    return Rule(where, when, what, "test")


def mask(flags: str) -> Mask:
    return Mask(tuple(flag == "1" for flag in flags))


def check(found: Prediction, steps: list[float], flops: list[float], errors: list[float]) -> None:
    """Seconds, operations and error of every step."""
    assert found.speedup == pytest.approx(len(steps) / sum(steps))
    assert found.flop_bound == pytest.approx(len(flops) / sum(flops))
    assert found.error == pytest.approx(sum(errors) / len(errors))


def together(*errors: float) -> float:
    return math.sqrt(sum(error**2 for error in errors))


def test_what_computes_everything_saves_and_loses_nothing() -> None:
    always = [rule(SELF, Never()), rule(FEED_FORWARD, mask("1111"))]
    for rules in ([], always):
        check(predict(CALIBRATION, rules, LINE), [1] * 4, [1] * 4, [0] * 4)


def test_a_mask_reuses_the_newest_computed_output() -> None:
    found = predict(CALIBRATION, [rule(SELF, mask("1001"))], LINE)
    check(found, [1, 0.6, 0.6, 1], [1, 0.7, 0.7, 1], [0, 0.8 * 0.1, 0.8 * 0.25, 0])


def test_an_interval_reuses_every_other_step() -> None:
    found = predict(CALIBRATION, [rule(SELF, Interval(2))], LINE)
    check(found, [1, 0.6, 1, 0.6], [1, 0.7, 1, 0.7], [0, 0.8 * 0.1, 0, 0.8 * 0.3])


def test_beyond_the_lookahead_changes_add_up() -> None:
    found = predict(CALIBRATION, [rule(SELF, mask("1000"))], LINE)
    check(found, [1, 0.6, 0.6, 0.6], [1, 0.7, 0.7, 0.7],
          [0, 0.8 * 0.1, 0.8 * 0.25, 0.8 * (0.25 + 0.3)])  # fmt: skip


def test_layers_of_several_kinds_are_one_group_and_their_change_is_a_mean() -> None:
    rules = [rule(SELF, mask("1001")), rule(FEED_FORWARD, mask("1011"))]
    found = predict(CALIBRATION, rules, LINE)
    check(found, [1, 0.3, 0.6, 1], [1, 0.3, 0.7, 1],
          [0, 0.5 * (0.1 + 0.05) / 2, 0.5 * 0.25 / 2, 0])  # fmt: skip


def test_one_layer_counts_as_its_part_of_the_kind_with_its_own_errors() -> None:
    found = predict(CALIBRATION, [rule(SELF, mask("1011"), HOLD, 1)], LINE)
    check(found, [1, 1 - 0.4 / 4, 1, 1], [1, 1 - 0.3 / 4, 1, 1], [0, 0.8 * 0.5 / 4, 0, 0])


def test_a_layer_that_was_not_measured_alone_has_the_errors_of_its_kind() -> None:
    found = predict(CALIBRATION, [rule(SELF, mask("1011"), HOLD, 2)], LINE)
    check(found, [1, 0.9, 1, 1], [1, 1 - 0.3 / 4, 1, 1], [0, 0.8 * 0.1 / 4, 0, 0])


def test_layers_left_out_of_a_kind_compute() -> None:
    rules = [rule(SELF, mask("1011"), but=(1,)), rule(SELF, mask("1101"), HOLD, 1)]
    found = predict(CALIBRATION, rules, LINE)
    check(found, [1, 1 - 0.4 * 3 / 4, 1 - 0.4 / 4, 1], [1, 1 - 0.3 * 3 / 4, 1 - 0.3 / 4, 1],
          [0, 0.8 * 0.1 * 3 / 4, 0.8 * (0.6 + 0.1 * 3 / 4) / 4, 0])  # fmt: skip


def test_what_is_computed_from_reused_outputs_is_stored_as_wrong_as_they_are() -> None:
    rules = [rule(SELF, mask("1011")), rule(FEED_FORWARD, mask("1101"))]
    found = predict(CALIBRATION, rules, LINE)
    check(found, [1, 0.6, 0.7, 1], [1, 0.7, 0.6, 1],
          [0, 0.5 * 0.1 / 2, 0.5 * (0.1 + 0.1 / 2) / 2, 0])  # fmt: skip


def test_whole_blocks_are_a_group_of_their_own() -> None:
    found = predict(CALIBRATION, [rule(BLOCK, Interval(2))], LINE)
    check(found, [1, 0.2, 1, 0.2], [1, 0.1, 1, 0.1], [0, 1.5 * 0.02, 0, 1.5 * 0.08])


def test_in_a_deep_branch_layers_are_saved_once() -> None:
    rules = [rule(DEEP, Interval(2), HOLD, 1), rule(SELF, mask("1001"))]
    found = predict(CALIBRATION, rules, LINE)
    check(found, [1, 0.4 * 0.6, 0.6, 0.4], [1, 0.5 * 0.7, 0.7, 0.5],
          [0, together(0.9 * 0.2, 0.8 * 0.1), 0.8 * 0.25, 0.9 * 0.4])  # fmt: skip


def test_guidance_that_is_carried_on_changes_as_measured() -> None:
    found = predict(CALIBRATION, [rule(GUIDANCE, Interval(2), FrequencyDelta())], LINE)
    check(found, [1, 0.5, 1, 0.5], [1, 0.5, 1, 0.5], [0, 0.6 * 0.3, 0, 0.6 * 0.1])


def test_guidance_that_is_dropped_changes_as_a_whole() -> None:
    found = predict(CALIBRATION, [rule(GUIDANCE, From(2), CopyBranch())], LINE)
    check(found, [1, 1, 0.5, 0.5], [1, 1, 0.5, 0.5], [0, 0, 0.6, 0.6])


def test_guidance_and_layers_save_together_and_their_errors_are_independent() -> None:
    rules = [rule(GUIDANCE, Interval(2), FrequencyDelta()), rule(SELF, mask("1011"))]
    found = predict(CALIBRATION, rules, LINE)
    check(found, [1, 0.5 * 0.6, 1, 0.5], [1, 0.5 * 0.7, 1, 0.5],
          [0, together(0.6 * 0.3, 0.8 * 0.1), 0, 0.6 * 0.1])  # fmt: skip


@pytest.mark.parametrize(
    ("weight", "both", "expected"),
    [
        (0.5, 0.2, 0.05),  # the change goes on: half of it is met
        (1.0, 0.2, 0.0),
        (0.5, math.sqrt(0.02), math.sqrt(0.01 + 0.0025)),  # it turns by a right angle
        (0.5, 0.0, 0.15),  # it turns back
        (1.0, 0.9, 0.0),  # longer than its parts: measured of different samples
        (0.5, math.inf, 0.05),
    ],
)
def test_an_extrapolation_misses_what_did_not_go_on(
    weight: float, both: float, expected: float
) -> None:
    rows: Lags = ((0.1, 0.1, 0.1), (both, both))
    table = replace(CALIBRATION.table, rows={Place(SELF): rows})
    made = rule(SELF, mask("1101"), Extrapolate(Constant(weight)))
    found = predict(replace(CALIBRATION, table=table), [made], LINE)
    assert found.error == pytest.approx(0.8 * expected / 4, abs=1e-12)


def test_an_extrapolation_of_what_is_not_known_is_no_better_than_holding() -> None:
    table = replace(CALIBRATION.table, rows={Place(SELF): ((math.inf, 0.1, 0.1), (math.inf, 0.2))})
    made = rule(SELF, mask("1101"), Extrapolate())
    found = predict(replace(CALIBRATION, table=table), [made], LINE)
    assert found.error == pytest.approx(0.8 * 0.1 / 4)


@pytest.mark.parametrize(
    "made",
    [rule(CROSS, Interval(2)), rule(DEEP, Interval(2), HOLD, 0), rule(SELF, Never())],
    ids=["kind", "branch", "never"],
)
def test_what_is_not_in_the_calibration_counts_as_computed(made: Rule) -> None:
    shares = {**CALIBRATION.costs.seconds, (CROSS, None): 0.2, (DEEP, 0): 0.2}
    calibration = replace(CALIBRATION, costs=Costs(shares, shares))
    check(predict(calibration, [made], LINE), [1] * 4, [1] * 4, [0] * 4)


def test_an_influence_that_was_not_measured_counts_in_full() -> None:
    calibration = replace(CALIBRATION, influence={})
    found = predict(calibration, [rule(SELF, mask("1011"))], LINE)
    assert found.error == pytest.approx(0.1 / 4)


def test_keeping_what_is_computed_takes_time_where_a_later_step_reuses_it() -> None:
    costs = replace(CALIBRATION.costs, keeping={(SELF, None): 0.04, (GUIDANCE, None): 0.02})
    calibration = replace(CALIBRATION, costs=costs)
    # Step 2 is kept too: a sampler may go back by one step.
    check(
        predict(calibration, [rule(SELF, mask("1011"))], LINE),
        [1.04, 0.6, 1.04, 1], [1, 0.7, 1, 1], [0, 0.8 * 0.1, 0, 0],
    )  # fmt: skip
    check(predict(calibration, [rule(SELF, mask("1111"))], LINE), [1] * 4, [1] * 4, [0] * 4)
    one_branch = [rule(SELF, mask("1101")), rule(GUIDANCE, mask("1001"), CopyBranch())]
    found = predict(calibration, one_branch, LINE)
    assert found.speedup == pytest.approx(4 / (1 + 0.52 + 0.5 * 0.6 + 1.04)), "half of a batch"


def test_a_patched_model_takes_more_in_every_evaluation() -> None:
    costs = replace(CALIBRATION.costs, asking={(SELF, None): 0.04, (CROSS, None): 1}, patching=0.01)
    calibration = replace(CALIBRATION, costs=costs)
    check(
        predict(calibration, [rule(SELF, mask("1011"))], LINE),
        [1.05, 0.65, 1.05, 1.05], [1, 0.7, 1, 1], [0, 0.8 * 0.1, 0, 0],
    )  # fmt: skip
    check(predict(calibration, [rule(SELF, mask("1111"))], LINE), [1] * 4, [1] * 4, [0] * 4)
    quarter = predict(calibration, [rule(SELF, mask("1011"), HOLD, 0)], LINE)
    assert quarter.speedup == pytest.approx(4 / (4 * (1 + 0.01 + 0.01) - 0.1)), "one of four"
    by_operations = replace(calibration.costs, seconds={})
    found = predict(replace(calibration, costs=by_operations), [rule(SELF, mask("1011"))], LINE)
    assert found.speedup == pytest.approx(4 / 3.7), "nothing is known of seconds"


def test_layers_that_reuse_together_save_what_was_sensed() -> None:
    """0.8, not 0.4 + 0.3; a part of them the less of the difference the smaller it is."""
    calibration = replace(CALIBRATION, costs=replace(CALIBRATION.costs, together=0.8))
    one, other = rule(SELF, mask("1011")), rule(FEED_FORWARD, mask("1011"))
    alone = 1 - (0.4 + 0.1 * (0.4 / 0.7) ** 2)
    for rules, cost in (([one, other], 0.2), ([one], alone), ([rule(BLOCK, mask("1011"))], 0.2)):
        assert predict(calibration, rules, LINE).speedup == pytest.approx(4 / (3 + cost))
    less = replace(CALIBRATION, costs=replace(CALIBRATION.costs, together=0.5))
    assert predict(less, [one, other], LINE).speedup == pytest.approx(4 / 3.3), "disturbed"


def test_without_seconds_the_operations_say_what_is_saved() -> None:
    rules = [rule(SELF, mask("1011"))]
    found = predict(replace(CALIBRATION, costs=Costs(CALIBRATION.costs.flops)), rules, LINE)
    assert found.speedup == found.flop_bound == pytest.approx(4 / 3.7)
    found = predict(replace(CALIBRATION, costs=Costs({}, CALIBRATION.costs.seconds)), rules, LINE)
    assert (found.speedup, found.flop_bound) == (pytest.approx(4 / 3.6), None)
    assert str(found) == "1.11× faster, 2.0 % error per step"


def test_a_prediction_in_words() -> None:
    found = predict(CALIBRATION, [rule(SELF, mask("1011"))], LINE)
    assert str(found) == "1.11× faster (1.08× by FLOPs), 2.0 % error per step"


def test_a_schedule_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="the schedule is for 3 steps, this run has 4"):
        predict(CALIBRATION, [rule(SELF, mask("101"))], LINE)


def test_a_row_of_a_schedule_for_one_layer_wins_over_its_kind() -> None:
    rows: Rows = ((SELF, None, mask("1011").compute), (SELF, 1, mask("1101").compute))
    by_hand = [rule(SELF, mask("1011"), but=(1,)), rule(SELF, mask("1101"), HOLD, 1)]
    assert predict(CALIBRATION, rules_of(rows), LINE) == predict(CALIBRATION, by_hand, LINE)
