"""Methods: validated parameters, and the rules they mean."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.methods import METHODS, PAB, DeepCache, Method
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.schedules import PercentRange, TimestepRange
from stepcache.cache_core.sites import Site, SiteKind

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)


def strips(method: Method, steps: int) -> dict[str, str]:
    """What a method plans in an even run, by kind."""
    line = Timeline.even(steps)
    return {rule.where.kind.value: Plan.of(rule.when, line).strip for rule in method.rules()}


def test_names_are_unique() -> None:
    assert len({method.name for method in METHODS}) == len(METHODS) >= 2


@every_method
def test_defaults_are_valid_and_reuse_something(method: type[Method]) -> None:
    rules = method().rules()
    assert rules
    line = Timeline.even(20)
    assert all("R" in Plan.of(rule.when, line).strip for rule in rules)


@every_method
def test_a_method_names_itself_in_its_rules_and_its_description(method: type[Method]) -> None:
    assert {rule.owner for rule in method().rules()} == {method.name}
    assert method().describe().startswith(f"{method.name} (")


@every_method
def test_a_description_tells_every_parameter(method: type[Method]) -> None:
    assert is_dataclass(method)
    description = method().describe()
    assert all(f"{field.name} " in description for field in fields(method))


@every_method
def test_a_method_says_where_it_was_published(method: type[Method]) -> None:
    assert method.paper.startswith("arXiv ")
    assert method.paper in (method.__doc__ or "")


@every_method
def test_a_method_is_frozen_and_equal_settings_are_equal(method: type[Method]) -> None:
    assert is_dataclass(method)
    made = method()
    with pytest.raises(FrozenInstanceError):
        setattr(made, fields(method)[0].name, 7)
    assert made == method()
    assert len({made, method()}) == 1


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
        "window timesteps 850-100)"
    )


def test_pab_reuses_each_kind_at_its_own_range_inside_the_window() -> None:
    # An even run of 10: t = 1000, 900, … 100; 800 … 200 lie strictly between 100 and 850.
    method = PAB(2, 3, 10, window=TimestepRange(100, 850))
    assert strips(method, 10) == {
        "self_attention": "CCCRCRCRCC",
        "temporal_attention": "CCRCRRCRRC",
        "cross_attention": "CCRRRRRRRC",
    }


def test_pab_takes_its_window_in_percent_too() -> None:
    method = PAB(2, 2, 2, window=PercentRange(0.5, 1.0))
    assert strips(method, 8) == dict.fromkeys(
        ("self_attention", "temporal_attention", "cross_attention"), "CCCCCRCR"
    )


def test_range_1_switches_a_kind_of_pab_off() -> None:
    assert strips(PAB(self_attention=1), 20)["self_attention"] == "C" * 20


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
