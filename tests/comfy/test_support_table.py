"""The page of supported models, against what the tiny models show."""

from __future__ import annotations

import cases
import pack
import pytest
import support_table
import toys
from stepcache.cache_core.errors import UnsupportedModelError
from stepcache.cache_core.host import attach
from stepcache.cache_core.host.families import FAMILIES
from stepcache.cache_core.sites import SiteKind

LABELS = {"TGate": "T-GATE"}

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


@pytest.mark.parametrize("name", toys.zoo.TOYS)
def test_a_tiny_model_does_what_the_table_says(name: str) -> None:
    toy, model = toys.TOYS[name], toys.load(name)
    family = FAMILY[toy.family]
    sites = family.sites(model.model.diffusion_model)
    layers = {site.kind for site in sites} - {SiteKind.GUIDANCE, SiteKind.DEEP_BRANCH}
    assert layers == toy.kinds
    assert layers <= family.kinds
    for label, method in cases.METHODS.items():
        if label == "SmoothCache":
            method = support_table.METHODS[label]
        promised = support_table.refusal_of(method, family)
        try:
            attach(model, method)
        except UnsupportedModelError as refusal:
            assert promised is not None, label
            assert str(refusal).partition(")")[2] == promised.partition(")")[2]
            assert label not in toy.methods
        else:
            assert promised is None, label
            assert label in toy.methods


def test_every_family_but_detectors_has_a_tiny_model() -> None:
    tried = {toy.family for toy in toys.TOYS.values()} | {"UNet", "Wan"}
    assert {family.name for family in FAMILIES} - tried == {"Detector"}
