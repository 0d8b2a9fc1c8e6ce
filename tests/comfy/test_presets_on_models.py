"""Published settings on the host's models: who takes them, who refuses."""

from __future__ import annotations

from typing import Any

import pytest
import toys
from stepcache.cache_core.errors import ConfigError, UnsupportedModelError
from stepcache.cache_core.host import last_report
from stepcache.cache_core.host.installation import KEY
from stepcache.cache_core.methods import Method
from stepcache.cache_core.methods.presets import (
    DEEPCACHE_PRESETS,
    FASTERCACHE_PRESETS,
    PAB_PRESETS,
    TGATE_PRESETS,
)
from stepcache.cache_core.sites import SiteKind
from stepcache.nodes.deepcache import DeepCacheUNet
from stepcache.nodes.fastercache import ApplyFasterCache
from stepcache.nodes.pab import ApplyPAB
from stepcache.nodes.tgate import TGateGate

PRESETS = [
    (node, preset, published)
    for node, table in (
        (DeepCacheUNet, DEEPCACHE_PRESETS),
        (ApplyPAB, PAB_PRESETS),
        (ApplyFasterCache, FASTERCACHE_PRESETS),
        (TGateGate, TGATE_PRESETS),
    )
    for preset, published in table.items()
]


@pytest.mark.parametrize("model", ["sd15", "wan", "svd"])
@pytest.mark.parametrize(("node", "preset", "published"), PRESETS)
def test_a_preset_fits_or_is_refused_with_the_way_out(
    node: Any, preset: str, published: Method, model: str
) -> None:
    name = node.define_schema().display_name
    try:
        patched = _attach(node, model, preset)
    except UnsupportedModelError as refusal:
        assert str(refusal).startswith(f'{name}, preset "{preset}": the model is ')
        if node is DeepCacheUNet:
            assert model == "wan" and "no skip connections to cut" in str(refusal)
        else:
            assert SiteKind.TEMPORAL_ATTENTION in published.preset.kinds
            assert "no separate temporal_attention; expected a model with such layers (SVD)" in str(
                refusal
            )
            assert str(refusal).endswith('Choose the preset "custom" and set what this model has')
    except ConfigError as refusal:
        # The toy has fewer layers than the preset counts.
        assert model == "svd" and SiteKind.FEED_FORWARD in published.preset.kinds
        assert str(refusal).startswith(f'{name}, preset "{preset}": feed_forward')
        assert 'preset "custom"' in str(refusal)
    else:
        (method,) = patched.model_options["transformer_options"][KEY].methods
        assert method is published, "the sliders are ignored"


def _attach(node: Any, model: str, preset: str, **inputs: Any) -> Any:
    defaults = {i.id: i.default for i in node.define_schema().inputs if i.id != "model"}
    return node.execute(model=toys.load(model), **{**defaults, "preset": preset, **inputs}).result[
        0
    ]


@pytest.mark.parametrize(
    ("node", "preset", "model", "steps"),
    [
        (ApplyPAB, "Vchitect-2.0", "svd", 10),
        (ApplyPAB, "CogVideoX", "wan", 10),
        (ApplyFasterCache, "Latte", "svd", 20),
        (ApplyFasterCache, "Mochi", "wan", 20),
        (TGateGate, "SVD: gate 5, self 3 (25 steps)", "svd", 8),
        (TGateGate, "LCM: gate 1 (4 steps)", "sd15", 4),
        (DeepCacheUNet, "SD1.5 demo: interval 5, non-uniform (50 steps)", "sd15", 50),
    ],
)
def test_a_preset_acts_and_its_numbers_are_in_the_report(
    node: Any, preset: str, model: str, steps: int
) -> None:
    patched = _attach(node, model, preset)
    toys.sample(patched, model, steps=steps)
    report = last_report(patched)
    assert report is not None and report.total_reused > 0
    (line,) = report.methods
    assert line.endswith(f"preset {preset})")


def test_the_values_on_the_node_are_ignored_with_a_preset() -> None:
    patched = _attach(ApplyPAB, "sd15", "CogVideoX", self_attention=99, start_percent=1.0)
    toys.sample(patched, "sd15", steps=4)
    report = last_report(patched)
    assert report is not None
    assert "self_attention 2, temporal_attention 1, cross_attention 1" in report.methods[0]
