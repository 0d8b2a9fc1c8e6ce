"""Work is counted before it is done, and grows no faster than what was asked for."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from stepcache.cache_core import non_uniform
from stepcache.cache_core.approximators import Hold
from stepcache.cache_core.clock import Clock, Timeline
from stepcache.cache_core.effort import Effort, spend
from stepcache.cache_core.errors import ConfigError, EffortError
from stepcache.cache_core.estimate import Observation, Seen
from stepcache.cache_core.non_uniform import NonUniform
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.rules import Rule, assign, plans_of
from stepcache.cache_core.schedules import (
    Broadcast,
    From,
    Interval,
    Mask,
    Never,
    PercentRange,
    Schedule,
    StepRange,
    TimestepRange,
)
from stepcache.cache_core.sites import Site, SiteKind, SiteSelector
from stepcache.cache_core.strips import planned_sites, shares_of

SELF, CROSS, DEEP = SiteKind.SELF_ATTENTION, SiteKind.CROSS_ATTENTION, SiteKind.DEEP_BRANCH


def units_of(work: Any) -> float:
    effort = Effort(1e12)
    with effort.limits():
        work()
    return effort.spent


def test_work_is_refused_before_it_is_done() -> None:
    effort = Effort(10)
    with effort.limits():
        spend(10)
        assert not effort.is_exhausted
        with pytest.raises(EffortError, match="more work than a preview may take; expected fewer"):
            spend(1)
    assert effort.is_exhausted
    spend(10**9)  # Nobody counts here.


def test_nothing_is_begun_once_nobody_waits() -> None:
    effort = Effort(10)
    effort.stop()
    with effort.limits(), pytest.raises(EffortError):
        spend(0)


def test_a_refused_error_leaves_the_count_of_others_alone() -> None:
    outer = Effort(10)
    with outer.limits():
        with pytest.raises(EffortError), Effort(1).limits():
            spend(2)
        spend(10)
    assert outer.spent == 10


SCHEDULES: dict[str, Schedule] = {
    "never": Never(),
    "interval": Interval(3, 1),
    "steps": StepRange(2, 7),
    "percents": PercentRange(0.2, 0.8),
    "timesteps": TimestepRange(100, 700),
    "from": From(6),
    "mask": Mask((True, False) * 6),
    "broadcast": Broadcast((0.1, 0.5), 2),
    "non-uniform": NonUniform(3, 5, 1.4),
    "and": NonUniform(3, 5, 1.4) & PercentRange(0.2, 0.8) & Interval(2),
    "or": From(9) | Interval(4) | StepRange(2, 4),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_laid_out_as_it_answers_at_every_step(name: str) -> None:
    schedule, timeline = SCHEDULES[name], Timeline.even(12)
    asked = tuple(schedule.may_reuse(timeline.clock(step)) for step in range(12))
    assert schedule.laid_out(timeline) == asked


class Refuses(Schedule):
    def may_reuse(self, clock: Clock) -> bool:
        raise ConfigError("does not fit this run")


def test_what_does_not_count_is_not_asked() -> None:
    timeline = Timeline.even(4)
    assert (Never() & Refuses()).laid_out(timeline) == (False,) * 4
    assert (StepRange(0, 9) | Refuses()).laid_out(timeline) == (True,) * 4
    for schedule in (Interval(2) & Refuses(), Interval(2) | Refuses()):
        with pytest.raises(ConfigError):
            schedule.laid_out(timeline)


def test_a_non_uniform_list_is_made_once_for_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []
    made = non_uniform._gathered

    def counted(steps: int, count: int, center: int, power: float) -> tuple[int, ...]:
        tries.append(power)
        return made(steps, count, center, power)

    monkeypatch.setattr(non_uniform, "_gathered", counted)
    schedule = NonUniform(2, 500, 3.0) & PercentRange(0.0, 1.0)
    Plan.of(schedule, Timeline.even(10_000))
    assert len(tries) <= 100, "one for each power from 3 down to 1"


@pytest.mark.parametrize("steps", [2_000, 10_000])
def test_the_work_for_a_plan_grows_with_its_steps_alone(steps: int) -> None:
    tries, list_of_steps = 100, steps / 2
    units = units_of(lambda: Plan.of(NonUniform(2, 500, 3.0), Timeline.even(steps)))
    assert steps <= units <= steps + tries * list_of_steps


def rules_of(layers: int, steps: int) -> list[Rule]:
    flags = random.Random(0)
    return [
        Rule(
            SiteSelector(SELF, frozenset({index})),
            Mask(tuple(flags.random() < 0.5 for _ in range(steps))),
            Hold(),
            "schedule",
        )
        for index in range(layers)
    ]


def test_a_schedule_for_every_layer_is_not_compared_with_every_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = Counter[str]()
    matches = SiteSelector.matches

    def counted(selector: SiteSelector, site: Site) -> bool:
        asked["matches"] += 1
        return matches(selector, site)

    monkeypatch.setattr(SiteSelector, "matches", counted)
    rules, sites = rules_of(300, 4), [Site(SELF, index) for index in range(300)]
    assert assign(rules, sites) == dict(zip(sites, rules, strict=True))
    assert asked["matches"] == 300


def test_the_order_of_rules_decides_as_before() -> None:
    """Of rules that never reuse the first one has the site, whether it names it or all."""
    every = Rule(SiteSelector(SELF, excluded=frozenset({2})), Never(), Hold(), "all")
    single = Rule(SiteSelector(SELF, frozenset({1, 2})), Never(), Hold(), "one")
    sites = [Site(SELF, index) for index in range(3)] + [Site(CROSS, 1)]
    assert [rule.owner for rule in assign([every, single], sites).values()] == ["all", "all", "one"]
    assert [rule.owner for rule in assign([single, every], sites).values()] == ["all", "one", "one"]


def test_shares_are_those_of_all_sites() -> None:
    timeline, rules = Timeline.even(9), rules_of(5, 9)
    rules.append(Rule(SiteSelector(CROSS), Interval(3), Hold(), "other"))
    assigned = planned_sites(rules, {SELF: 7, CROSS: 4, DEEP: 2})
    plans = plans_of(rules, timeline)
    shares = shares_of(assigned, plans)
    for (kind, _), row in shares.items():
        rows = [plans[rule].reuse for site, rule in assigned.items() if site.kind is kind]
        assert row == [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def test_the_work_for_shares_does_not_grow_with_the_layers() -> None:
    timeline = Timeline.even(50)
    rule = Rule(SiteSelector(SELF), Interval(2), Hold(), "one")
    plans = plans_of([rule], timeline)
    few, many = (
        units_of(lambda n=n: shares_of({Site(SELF, i): rule for i in range(n)}, plans))
        for n in (1, 10_000)
    )
    assert few == many


def test_what_a_run_cost_is_fitted_once() -> None:
    seen = tuple(Seen({(SELF, None): n / 50}, 1 - n / 100, 1) for n in range(50))
    one, many = (units_of(lambda n=n: Observation(seen, {}).speedup(planned(n))) for n in (1, 500))
    assert many < 500 * one / 2


def planned(count: int) -> list[dict[Any, float]]:
    return [{(SELF, None): (step + 0.5) / count} for step in range(count)]
