"""Methods: validated parameters, and the rules they mean."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

import pytest
from diffusers_fastercache import DiffusersFasterCache
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.methods import (
    METHODS,
    PAB,
    DeepCache,
    FasterCache,
    Method,
    SmoothCache,
    StepCache,
    TGate,
)
from stepcache.cache_core.rules import plans_of
from stepcache.cache_core.schedules import PercentRange, TimestepRange
from stepcache.cache_core.sites import Site, SiteKind

CROSS = SiteKind.CROSS_ATTENTION
ROW = (CROSS, None, (True, False) * 10)
DEFAULT = {method: SmoothCache((ROW,)) if method is SmoothCache else method() for method in METHODS}
"""Every method with its defaults; SmoothCache has none without a schedule."""

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)


def strips(method: Method, steps: int) -> dict[str, str]:
    """What a method plans in an even run, by kind."""
    plans = plans_of(method.rules(), Timeline.even(steps))
    return {rule.where.kind.value: plan.strip for rule, plan in plans.items()}


def test_names_are_unique() -> None:
    assert len({method.name for method in METHODS}) == len(METHODS) >= 2


@every_method
def test_defaults_are_valid_and_reuse_something(method: type[Method]) -> None:
    rules = DEFAULT[method].rules()
    line = Timeline.even(20)
    active = [rule for rule in rules if not rule.when.never_reuses]
    assert active
    assert all("R" in plan.strip for plan in plans_of(active, line).values())


@every_method
def test_a_method_names_itself_in_its_rules_and_its_description(method: type[Method]) -> None:
    assert {rule.owner for rule in DEFAULT[method].rules()} == {method.name}
    assert DEFAULT[method].describe().startswith(f"{method.name} (")


@every_method
def test_a_description_tells_every_parameter_that_counts(method: type[Method]) -> None:
    assert is_dataclass(method)
    description = DEFAULT[method].describe()
    if method is SmoothCache:
        assert description == "SmoothCache Schedule (schedule, computes 50 %)"
    else:
        told = {field.name for field in fields(method) if f"{field.name} " in description}
        assert told == {field.name for field in fields(method)} - DEFAULT[method].idle


@every_method
def test_a_method_says_where_it_was_published(method: type[Method]) -> None:
    if method is StepCache:
        assert not method.paper and "our own" in (method.__doc__ or "")
        return
    assert method.paper.startswith("arXiv ")
    assert method.paper in (method.__doc__ or "")


@every_method
def test_a_method_is_frozen_and_equal_settings_are_equal(method: type[Method]) -> None:
    assert is_dataclass(method)
    made = DEFAULT[method]
    with pytest.raises(FrozenInstanceError):
        setattr(made, fields(method)[0].name, 7)
    same = replace(made)  # type: ignore[type-var]
    assert made == same and made is not same
    assert len({made, same}) == 1


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (DeepCache, {"interval": 0}, "interval is 0; expected 1 or more"),
        (DeepCache, {"interval": 0, "uniform": False}, "interval is 0; expected 1 or more"),
        (DeepCache, {"branch": -1}, "branch is -1; expected 0 or more"),
        (DeepCache, {"start_percent": 0.9, "end_percent": 0.1}, "0.9 is not before"),
        (DeepCache, {"end_percent": 1.5}, "0 … 1.5; expected values from 0 to 1"),
        (DeepCache, {"power": 1.0, "uniform": False}, "power is 1; expected more than 1"),
        (DeepCache, {"center": -1, "uniform": False}, "center is -1; expected a step number"),
        (PAB, {"self_attention": 0}, "range of self_attention is 0; expected 1 or more"),
        (PAB, {"temporal_attention": 0}, "range of temporal_attention is 0; expected 1 or more"),
        (PAB, {"cross_attention": 0}, "range of cross_attention is 0; expected 1 or more"),
        (PAB, {"feed_forward_blocks": -1}, "feed_forward_blocks is -1; expected 0 or more"),
        (PAB, {"feed_forward_count": -1}, "a count of 0 or more"),
        (PAB, {"feed_forward_starts": (1.0,)}, "expected starts from 0 to below 1"),
        (PAB, {"feed_forward_starts": (float("nan"),)}, "expected starts from 0 to below 1"),
        (FasterCache, {"self_attention": 0}, "range of self_attention is 0; expected 1 or more"),
        (FasterCache, {"temporal_attention": -2}, "range of temporal_attention is -2; expected 1"),
        (FasterCache, {"cross_attention": 0}, "range of cross_attention is 0; expected 1 or more"),
        (FasterCache, {"guidance_interval": 0}, "range of guidance is 0; expected 1 or more"),
        (FasterCache, {"low_gain": -1.0}, "low_gain is -1; expected more than 0, up to 10"),
        (FasterCache, {"high_gain": 11.0}, "high_gain is 11; expected more than 0, up to 10"),
        (FasterCache, {"low_gain": 0.0}, "low_gain is 0; expected more than 0"),
        (FasterCache, {"high_gain": float("nan")}, "high_gain is nan; expected more than 0"),
        (TGate, {"gate_step": -1, "warm_up": 0}, "gate_step is -1; expected 1 or more"),
        (TGate, {"gate_step": 0, "warm_up": -1}, "warm_up is -1 with gate_step 0"),
        (TGate, {"gate_share": 0.0}, "gate_share is 0; expected more than 0, up to 1"),
        (TGate, {"gate_share": float("nan")}, "gate_share is nan; expected more than 0"),
        (TGate, {"warm_up": 10, "gate_step": 10}, "expected 0 … 9: the warm-up ends before"),
        (TGate, {"warm_up": -1}, "warm_up is -1"),
        (TGate, {"self_interval": 0}, "interval is 0; expected 1 or more"),
        (TGate, {"gated_interval": 0}, "interval is 0; expected 1 or more"),
        (TGate, {"kept": "both"}, "expected 'cond' or 'uncond'"),
        (SmoothCache, {"rows": ()}, "expected one length for all"),
        (SmoothCache, {"rows": (ROW, (CROSS, None, (True,)))}, "expected one length for all"),
        (SmoothCache, {"rows": (ROW, ROW)}, "two rows for the same layers"),
    ],
)
def test_parameters_out_of_range_are_refused(
    method: type[Method], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        method(**settings)
    assert message in str(caught.value)


def test_pab_defaults_are_a_published_configuration() -> None:
    assert PAB().describe() == (
        "Apply PAB (self_attention 2, temporal_attention 4, cross_attention 6, "
        "window timesteps 850-100, preset custom)"
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"block": 3, "feed_forward_blocks": 2},
            "window timesteps 850-100, block 3, preset custom",
        ),
        (
            {"feed_forward_starts": (0.5,), "feed_forward_count": 2, "feed_forward_blocks": 3},
            "self_attention 2, temporal_attention 4, cross_attention 6, window timesteps 850-100, "
            "feed_forward_starts (0.5,), feed_forward_count 2, feed_forward_blocks 3, "
            "preset custom",
        ),
    ],
)
def test_pab_tells_only_what_counts_beside_the_rest(settings: dict[str, Any], told: str) -> None:
    assert PAB(**settings).describe() == f"Apply PAB ({told})"


def test_pab_reuses_each_kind_at_its_own_range_inside_the_window() -> None:
    # An even run of 10: t = 1000, 900, … 100; 800 … 200 lie strictly between 100 and 850.
    method = PAB(2, 3, 10, window=TimestepRange(100, 850))
    assert strips(method, 10) == {
        "self_attention": "CCCRCRCRCC",
        "joint_attention": "CCCRCRCRCC",
        "temporal_attention": "CCRCRRCRRC",
        "cross_attention": "CCRRRRRRRC",
    }


def test_pab_takes_its_window_in_percent_too() -> None:
    method = PAB(2, 2, 2, window=PercentRange(0.5, 1.0))
    assert strips(method, 8) == dict.fromkeys(
        ("self_attention", "joint_attention", "temporal_attention", "cross_attention"),
        "CCCCCRCR",
    )


def test_range_1_switches_a_kind_of_pab_off() -> None:
    assert strips(PAB(self_attention=1), 20)["self_attention"] == "C" * 20


def test_pab_of_whole_blocks_leaves_the_layers_in_them_alone() -> None:
    method = PAB(2, 3, 10, block=3, window=PercentRange(0.0, 1.0))
    assert strips(method, 8) == {"block": "CRRCRRCR"}


def test_deepcache_claims_its_branch_only() -> None:
    (rule,) = DeepCache(branch=2).rules()
    branches = [Site(SiteKind.DEEP_BRANCH, index) for index in range(4)]
    assert [rule.where.matches(site) for site in branches] == [False, False, True, False]
    assert not rule.where.matches(Site(SiteKind.SELF_ATTENTION, 2))


def test_deepcache_is_full_every_third_step_by_default() -> None:
    assert strips(DeepCache(), 10) == {"deep_branch": "CRRCRRCRRC"}


def test_deepcache_is_full_outside_its_window() -> None:
    # An even run of 8: percents 0, 0.125, … 0.875; steps 2 … 6 are in 0.25 … 0.75.
    method = DeepCache(interval=4, start_percent=0.25, end_percent=0.75)
    assert strips(method, 8) == {"deep_branch": "CCRRCRRC"}


def test_deepcache_can_gather_its_full_steps() -> None:
    strip = strips(DeepCache(interval=10, uniform=False), 50)["deep_branch"]
    assert [step for step, letter in enumerate(strip) if letter == "C"] == [0, 9, 17, 26, 37]


def test_deepcache_ignores_center_and_power_when_uniform() -> None:
    assert strips(DeepCache(center=-1, power=0.5), 10) == strips(DeepCache(), 10)


def test_pab_broadcasts_feed_forward_of_its_first_layers() -> None:
    method = PAB(
        1, 1, 1, feed_forward_starts=(0.2, 0.6), feed_forward_count=2, feed_forward_blocks=3
    )
    assert strips(method, 10)["feed_forward"] == "CCCRRCCRRC"
    where = method.rules()[-1].where
    sites = [Site(SiteKind.FEED_FORWARD, index) for index in range(5)]
    assert [where.matches(site) for site in sites] == [True, True, True, False, False]


@pytest.mark.parametrize(
    "off", [{"feed_forward_starts": ()}, {"feed_forward_count": 0}, {"feed_forward_blocks": 0}]
)
def test_pab_leaves_feed_forward_alone_unless_told(off: dict[str, Any]) -> None:
    on = {"feed_forward_starts": (0.2,), "feed_forward_count": 2, "feed_forward_blocks": 3}
    assert "feed_forward" in strips(PAB(**on), 10)
    assert "feed_forward" not in strips(PAB(**{**on, **off}), 10)


def test_fastercache_runs_one_branch_between_full_steps() -> None:
    assert strips(FasterCache(), 20)["guidance"] == "CCCCCCCRRRCRRRRCRRRR"


def test_fastercache_computes_attention_where_the_second_branch_comes_back() -> None:
    # Due at the odd steps from 7 on; step 15 runs both branches, and step 14 ran one.
    assert strips(FasterCache(), 20)["self_attention"] == "CCCCCCCRCRCRCRCCCRCR"


def test_fastercache_as_in_diffusers_reuses_attention_in_steps_of_one_branch_only() -> None:
    planned = strips(DiffusersFasterCache(), 20)
    pairs = set(zip(planned["self_attention"], planned["guidance"], strict=True))
    assert ("R", "R") in pairs
    assert ("R", "C") not in pairs


def test_tgate_in_the_published_trace() -> None:
    # Plain, plain, store, replay, replay, store, …, the mean at step 9, then computed.
    planned = strips(TGate(10, 2, 5), 25)
    assert planned["self_attention"] == "CCCRRCRRRC" + "C" * 15
    assert planned["cross_attention"] == planned["guidance"] == "C" * 10 + "R" * 15


def test_tgate_counts_its_intervals_from_step_0() -> None:
    assert strips(TGate(10, 2, 3, 2), 16)["self_attention"] == "CCCCRRCRRCCRCRCR"


def test_a_gate_at_the_first_step_and_at_the_end() -> None:
    assert strips(TGate(1, 0, 1), 4)["guidance"] == "CRRR"
    assert strips(TGate(4, 0, 1), 4)["guidance"] == "CCCC"


@pytest.mark.parametrize(
    ("steps", "share", "gate"),
    [(30, 0.6, 18), (20, 0.6, 12), (10, 0.6, 6), (8, 0.6, 5), (4, 0.6, 2), (2, 0.6, 1), (1, 0.6, 1),
     (40, 0.5, 20), (3, 0.01, 1), (9, 1.0, 9)],
)  # fmt: skip
def test_a_gate_by_share_follows_the_run(steps: int, share: float, gate: int) -> None:
    method = TGate(0, gate_share=share).fitted(Timeline.even(steps))
    assert method.gate_step == gate
    assert method.warm_up == min(2, gate - 1)
    assert method.notes == (
        f"TGATE Gate: the gate is at step {gate} of {steps}, by gate_share {share:g}",
    )
    assert strips(method, steps)["guidance"] == "C" * gate + "R" * (steps - gate)
    assert f"gate_step {gate}," in method.describe()
    assert "gate_share" not in method.describe()
    assert TGate(7, gate_share=share).fitted(Timeline.even(steps)) == TGate(7, gate_share=share)


def test_before_a_run_a_gate_by_share_has_the_rules_of_thirty_steps() -> None:
    assert TGate(0).rules() == TGate(18).rules()
    assert "gate_share 0.6" in TGate(0).describe() and "gate_step" not in TGate(0).describe()


def test_a_gate_beyond_the_last_step_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gate_step 10 lies beyond this run of 8 steps; lower"):
        strips(TGate(10), 8)


def test_a_schedule_for_another_number_of_steps_is_refused() -> None:
    message = r"the schedule is for 20 steps, this run has 30; sample 20 steps, or take a schedule"
    with pytest.raises(ConfigError, match=message):
        strips(SmoothCache((ROW,)), 30)


def test_a_row_for_one_layer_wins_over_the_row_of_its_kind() -> None:
    kind, one = SmoothCache((ROW, (CROSS, 2, (True,) * 20))).rules()
    sites = [Site(CROSS, index) for index in range(4)]
    assert [kind.where.matches(site) for site in sites] == [True, True, False, True]
    assert [one.where.matches(site) for site in sites] == [False, False, True, False]
