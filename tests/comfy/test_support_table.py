"""The page of supported models, against what the tiny models show."""

from __future__ import annotations

import pack

import pytest
import support_table
import toys
import zoo
from promises import PROMISES
from stepcache.cache_core.errors import UnsupportedModelError
from stepcache.cache_core.host import attach
from stepcache.cache_core.host.compatibility.model_info import ModelInfo
from stepcache.cache_core.host.families import FAMILIES

FAMILY = {family.name: family for family in FAMILIES}


def test_the_page_is_as_written_by_the_script() -> None:
    page = (pack.ROOT / "docs" / "support.md").read_text(encoding="utf-8")
    assert page == support_table.page(), "run python scripts/support_table.py"


def test_at_least_36_families_take_two_methods() -> None:
    works = [
        sum(
            support_table.refusal_of(method, family) is None
            for method in support_table.METHODS.values()
        )
        for family in FAMILIES
    ]
    assert sum(count >= 2 for count in works) >= 36


@pytest.mark.parametrize("name", [*zoo.TOYS, *zoo.UNETS])
def test_a_tiny_model_does_what_the_table_says(name: str) -> None:
    """And accepts a method exactly where it has a kind of sites that the method is promised to act
    on."""
    toy, model = toys.TOYS[name], toys.load(name)
    family = FAMILY[toy.family]
    sites = {site.kind for site in ModelInfo.of(model.model.diffusion_model).sites}
    assert sites == toy.sites
    assert sites <= support_table.kinds_in(family)
    for method, promise in PROMISES.items():
        made = support_table.METHODS[method.title]
        told = support_table.refusal_of(made, family)
        try:
            attach(model, made)
        except UnsupportedModelError as refusal:
            assert told is not None, method
            assert str(refusal).partition(")")[2] == told.partition(")")[2]
            assert not promise.acts_on & toy.sites, method
        else:
            assert told is None, method
            assert promise.acts_on & toy.sites, method


def test_every_family_but_detectors_has_a_tiny_model() -> None:
    tried = {toy.family for toy in toys.TOYS.values()} | {"UNet", "Wan"}
    assert {family.name for family in FAMILIES} - tried == {"Detector"}
