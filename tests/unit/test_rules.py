"""Rules: which one a site follows."""

from __future__ import annotations

import pytest
from stepcache.cache_core.approximators import CopyBranch, Extrapolate, Forecast, Hold
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import RuleConflictError
from stepcache.cache_core.rules import Rule, assign, plans_of
from stepcache.cache_core.schedules import From, Interval, Mask, Schedule
from stepcache.cache_core.sites import Site, SiteKind, SiteSelector

SELF = [Site(SiteKind.SELF_ATTENTION, i, f"blocks.{i}.attn1") for i in range(3)]
CROSS = [Site(SiteKind.CROSS_ATTENTION, i, f"blocks.{i}.attn2") for i in range(3)]


def rule(kind: SiteKind, *indices: int, owner: str = "a node") -> Rule:
    """A rule for the sites of a kind; for all of them if no index is given."""
    where = SiteSelector(kind, frozenset(indices) if indices else None)
    return Rule(where, Interval(2), Hold(), owner)


def test_a_rule_claims_the_sites_of_its_kind() -> None:
    cross = rule(SiteKind.CROSS_ATTENTION)
    assert assign([cross], [*SELF, *CROSS]) == dict.fromkeys(CROSS, cross)


def test_a_rule_with_indices_claims_those_only() -> None:
    some = rule(SiteKind.SELF_ATTENTION, 0, 2)
    assert assign([some], [*SELF, *CROSS]) == {SELF[0]: some, SELF[2]: some}


def test_sites_keep_their_order_and_follow_their_own_rule() -> None:
    of_self, of_cross = rule(SiteKind.SELF_ATTENTION), rule(SiteKind.CROSS_ATTENTION)
    sites = [SELF[0], CROSS[0], SELF[1], CROSS[1]]
    assigned = assign([of_cross, of_self], sites)
    assert list(assigned) == sites
    assert list(assigned.values()) == [of_self, of_cross, of_self, of_cross]


def test_a_site_that_no_rule_claims_gets_none() -> None:
    assert assign([rule(SiteKind.DEEP_BRANCH)], SELF) == {}
    assert assign([], SELF) == {}


def test_rules_may_share_a_kind_but_not_a_site() -> None:
    first, rest = rule(SiteKind.SELF_ATTENTION, 0), rule(SiteKind.SELF_ATTENTION, 1, 2)
    assert assign([first, rest], SELF) == {SELF[0]: first, SELF[1]: rest, SELF[2]: rest}


def test_two_rules_for_one_site_are_refused_and_both_owners_named() -> None:
    pab = rule(SiteKind.SELF_ATTENTION, owner="Apply PAB")
    tgate = rule(SiteKind.SELF_ATTENTION, 1, owner="Apply T-GATE")
    with pytest.raises(RuleConflictError) as caught:
        assign([pab, tgate], SELF)
    message = str(caught.value)
    assert message.startswith("Apply PAB and Apply T-GATE both claim ")
    assert "self_attention 1 (blocks.1.attn1)" in message
    assert "remove one" in message


def test_all_but_some_sites_can_be_chosen() -> None:
    rest = Rule(
        SiteSelector(SiteKind.SELF_ATTENTION, excluded=frozenset({1})), Interval(2), Hold(), ""
    )
    assert list(assign([rest], SELF)) == [SELF[0], SELF[2]]


def test_a_rule_that_never_reuses_yields_to_one_that_does() -> None:
    idle = Rule(SiteSelector(SiteKind.SELF_ATTENTION), Interval(1), Hold(), "Apply FasterCache")
    active = rule(SiteKind.SELF_ATTENTION, 1, owner="Apply PAB")
    for order in ([idle, active], [active, idle]):
        assert assign(order, SELF) == {SELF[0]: idle, SELF[1]: active, SELF[2]: idle}
    assert assign([idle, idle], SELF) == dict.fromkeys(SELF, idle)


def strips(*rules: Rule, steps: int = 8) -> list[str]:
    return [plan.strip for plan in plans_of(rules, Timeline.even(steps)).values()]


def test_as_many_steps_compute_first_as_are_combined() -> None:
    where = SiteSelector(SiteKind.SELF_ATTENTION)
    assert strips(Rule(where, Interval(3), Extrapolate(), "")) == ["CCRCRRCR"]


def test_a_gate_makes_the_deep_branch_run_in_full_around_it() -> None:
    gate = Rule(
        SiteSelector(SiteKind.CROSS_ATTENTION), From(4), Hold(), "", full_steps=frozenset({3, 4})
    )
    deep = Rule(SiteSelector(SiteKind.DEEP_BRANCH), Interval(5), Hold(), "")
    assert strips(gate, deep) == ["CCCCRRRR", "CRRCCCRR"]


@pytest.mark.parametrize(
    ("guidance", "attention"),
    [
        # Both branches run at 0, 3 and 6; what step 2 computed is cond's alone, so 3 computes.
        (Interval(3), "CRCCCRCR"),
        (From(5), "CRCRCRCR"),
    ],
)
def test_attention_goes_by_the_branches_that_ran(guidance: Schedule, attention: str) -> None:
    both = Rule(SiteSelector(SiteKind.GUIDANCE), guidance, CopyBranch(), "")
    held = Rule(SiteSelector(SiteKind.SELF_ATTENTION), Interval(2), Hold(), "")
    assert strips(both, held)[1] == attention


# Whole evaluations: layers are asked in the steps that are left.


def evaluation(strip: str) -> Rule:
    """The evaluation computes and reuses in these steps."""
    mask = Mask(tuple(letter == "C" for letter in strip))
    return Rule(SiteSelector(SiteKind.EVALUATION), mask, Forecast(), "Step Cache")


def beside(strip: str, *rules: Rule) -> list[str]:
    """What the rules do beside an evaluation, whatever the order."""
    asked, *found = strips(evaluation(strip), *rules, steps=len(strip))
    assert asked == strip
    assert strips(*rules, evaluation(strip), steps=len(strip)) == [*found, asked]
    return found


@pytest.mark.parametrize(
    ("interval", "evaluations", "strip"),
    [
        (2, "CCRRCCRC", "CR..CR.C"),
        # The turns of 3 and 6 fall on steps that are not asked.
        (3, "CCCRRCRC", "CRR..C.C"),
        (1, "CCRRCCRC", "CC..CC.C"),
    ],
)
def test_intervals_inside_evaluations(interval: int, evaluations: str, strip: str) -> None:
    held = Rule(SiteSelector(SiteKind.SELF_ATTENTION), Interval(interval), Hold(), "")
    assert beside(evaluations, held) == [strip]


def test_as_many_asked_steps_compute_first_as_are_combined() -> None:
    two = Rule(SiteSelector(SiteKind.SELF_ATTENTION), Interval(8), Extrapolate(), "")
    assert beside("CCRCCCRC", two) == ["CC.RRR.R"]
    # A forecast needs two itself, whatever its schedule says.
    assert strips(evaluation("CRRRCC"), two, steps=6) == ["CCRRCC", "CC..RR"]


def gated(step: int) -> Rule:
    """T-GATE: cross-attention is frozen from this step on, which has to see every layer."""
    return Rule(
        SiteSelector(SiteKind.CROSS_ATTENTION), From(step), Hold(), "",
        full_steps=frozenset({step - 1, step}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("evaluations", "cross", "deep"),
    [
        # The gate is at 4: what it freezes is computed in 3.
        ("CCCCCCCC", "CCCCRRRR", "CRRCCRRR"),
        # 3 is not asked: 4 computes instead, and the deep branch with it.
        ("CCCRCCCC", "CCC.CRRR", "CRR.CRRR"),
        # Neither is 4.
        ("CCCRRCCC", "CCC..CRR", "CRR..CRR"),
        # The gate itself is not asked: 3 has computed, and the deep branch is whole once more.
        ("CCCCRCCC", "CCCC.RRR", "CRRC.CRR"),
    ],
)
def test_a_gate_on_a_step_that_is_not_asked_moves_to_the_next_one(
    evaluations: str, cross: str, deep: str
) -> None:
    branch = Rule(SiteSelector(SiteKind.DEEP_BRANCH), Interval(8), Hold(), "")
    assert beside(evaluations, gated(4), branch) == [cross, deep]


def test_guidance_ends_when_the_attention_it_rests_on_is_frozen() -> None:
    ends = Rule(SiteSelector(SiteKind.GUIDANCE), From(4), CopyBranch(), "")
    assert beside("CCCRRCCC", gated(4), ends) == ["CCC..CRR", "CCC..CRR"]
