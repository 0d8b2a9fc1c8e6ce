"""Rules: which one a site follows."""

from __future__ import annotations

import pytest
from stepcache.cache_core.approximators import Hold
from stepcache.cache_core.errors import RuleConflictError
from stepcache.cache_core.rules import Rule, assign
from stepcache.cache_core.schedules import Interval
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
