"""The nodes as ComfyUI calls them: schema, bad input, and the report."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import stepcache
import toys
from stepcache.cache_core.errors import ConfigError, StepCacheError, UnsupportedModelError
from stepcache.cache_core.methods.presets import PAB_PRESETS
from stepcache.cache_core.patching.installation import KEY
from stepcache.cache_core.sites import SiteKind
from stepcache.nodes.apply_pab import ApplyPAB
from stepcache.nodes.deepcache_unet import DeepCacheUNet
from stepcache.nodes.extension import NODES
from stepcache.nodes.smoothcache_schedule import SmoothCacheSchedule
from stepcache.nodes.step_cache_report import StepCacheReport

PROMISED = {
    "StepCacheDeepCacheUNet": {
        "model": None, "interval": 3, "branch": 0, "schedule": "uniform", "center": 15,
        "power": 1.4, "start_percent": 0.0, "end_percent": 1.0, "preset": "custom",
    },
    "StepCacheApplyPAB": {
        "model": None, "self_attention": 2, "temporal_attention": 4, "cross_attention": 6,
        "start_percent": 0.15, "end_percent": 0.9, "feed_forward_start": 0.3,
        "feed_forward_count": 0, "feed_forward_blocks": 5, "preset": "custom",
    },
    "StepCacheApplyFasterCache": {
        "model": None, "preset": "custom", "self_attention": 2, "temporal_attention": 2,
        "cross_attention": 1, "attention_start_percent": 0.3, "attention_end_percent": 1.0,
        "guidance_interval": 5, "guidance_start_percent": 0.33, "guidance_end_percent": 1.0,
        "low_gain": 1.2, "high_gain": 1.2, "switch_percent": 0.7,
    },
    "StepCacheTGate": {
        "model": None, "preset": "custom", "gate_step": 10, "warm_up": 2, "self_interval": 5,
        "gated_interval": 1, "after_gate": "uncond (as published)",
    },
    "StepCacheSmoothCache": {"model": None, "schedule": "FORA: every 2nd step", "steps": 20},
    "StepCacheReport": {"model": None, "latent": None},
}  # fmt: skip
"""Input names and defaults. Saved workflows depend on them: they are added to, never changed."""


def _run(node: Any, **inputs: Any) -> Any:
    defaults = {k: v for k, v in PROMISED[node.define_schema().node_id].items() if v is not None}
    return node.execute(**{**defaults, **inputs})


def test_the_entry_point_lists_every_node() -> None:
    extension = asyncio.run(stepcache.comfy_entrypoint())
    listed = asyncio.run(extension.get_node_list())
    assert [node.define_schema().node_id for node in listed] == list(PROMISED)


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.__name__)
def test_inputs_and_defaults_are_as_promised(node: Any) -> None:
    schema = node.define_schema()
    found = {i.id: getattr(i, "default", None) for i in schema.inputs}
    assert found == PROMISED[schema.node_id]
    assert schema.category == "Step Cache"
    assert schema.description
    for entry in schema.inputs:
        if entry.id not in ("model", "latent"):
            assert len(entry.tooltip) > 30, f"{schema.node_id}.{entry.id} does not explain itself"


def test_window_tooltips_show_the_timestep_equivalent() -> None:
    by_id = {i.id: i for i in ApplyPAB.define_schema().inputs}
    assert "0.15 is timestep 850" in by_id["start_percent"].tooltip
    assert "0.9 is timestep 100" in by_id["end_percent"].tooltip


@pytest.mark.parametrize(
    ("node", "inputs", "words"),
    [
        (DeepCacheUNet, {"interval": 0}, "DeepCache UNet: interval is 0; expected 1 or more"),
        (DeepCacheUNet, {"branch": -1}, "DeepCache UNet: branch is -1; expected 0 or more"),
        (
            DeepCacheUNet,
            {"start_percent": 0.8, "end_percent": 0.2},
            "DeepCache UNet: start_percent 0.8 is not before end_percent 0.2",
        ),
        (
            DeepCacheUNet,
            {"schedule": "non-uniform", "power": 1.0},
            "DeepCache UNet: power is 1; expected more than 1",
        ),
        (ApplyPAB, {"self_attention": 0}, "Apply PAB: the range of self_attention is 0"),
        (
            ApplyPAB,
            {"start_percent": 0.5, "end_percent": 0.5},
            "Apply PAB: start_percent 0.5 is not before end_percent 0.5",
        ),
    ],
)
def test_bad_input_is_refused_in_words(node: Any, inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        _run(node, model=toys.load("sd15"), **inputs)
    assert str(refusal.value).startswith(words)


@pytest.mark.parametrize("preset", list(PAB_PRESETS))
def test_a_preset_fits_or_is_refused_with_the_way_out(preset: str) -> None:
    try:
        patched = _run(ApplyPAB, model=toys.load("sd15"), preset=preset).result[0]
    except UnsupportedModelError as refusal:
        assert preset in str(refusal) and 'preset "custom"' in str(refusal)
        assert SiteKind.TEMPORAL_ATTENTION in PAB_PRESETS[preset].preset.kinds
    else:
        (method,) = patched.model_options["transformer_options"][KEY].methods
        assert method is PAB_PRESETS[preset]


def test_a_schedule_for_another_number_of_steps_is_refused_before_sampling() -> None:
    patched = _run(SmoothCacheSchedule, model=toys.load("sd15"), steps=20).result[0]
    with pytest.raises(ConfigError, match=r"^SmoothCache Schedule: .*20 steps, this run has 8"):
        toys.sample(patched, "sd15", steps=8)


def test_deepcache_on_a_transformer_names_model_and_remedy() -> None:
    with pytest.raises(UnsupportedModelError, match=r"^DeepCache UNet: .*WanModel.*Apply PAB"):
        _run(DeepCacheUNet, model=toys.load("wan"))


@pytest.mark.parametrize("node", NODES[:-1], ids=lambda node: node.__name__)
def test_defaults_act(node: Any) -> None:
    patched = _run(node, model=toys.load("sd15")).result[0]
    latent = {"samples": toys.sample(patched, "sd15", steps=20)}
    data = json.loads(_run(StepCacheReport, model=patched, latent=latent).result[2])
    assert data["reused"] > 0


def test_the_report_node_shows_and_hands_on() -> None:
    patched = _run(ApplyPAB, model=toys.load("wan")).result[0]
    latent = {"samples": toys.sample(patched, "wan", steps=8)}
    output = _run(StepCacheReport, model=patched, latent=latent)
    handed_on, text, data = output.result
    assert handed_on is latent
    assert output.ui == {"text": (text,), "stepcache_report": (data,)}
    assert "Apply PAB" in text
    assert "self_attention" in text
    assert json.loads(data)["version"] == 1


def test_the_report_node_says_what_is_missing() -> None:
    latent = {"samples": None}
    with pytest.raises(StepCacheError, match=r"Step Cache Report: no Step Cache node is attached"):
        _run(StepCacheReport, model=toys.load("wan"), latent=latent)
    unsampled = _run(ApplyPAB, model=toys.load("wan")).result[0]
    with pytest.raises(StepCacheError, match=r"Step Cache Report: .* not been sampled yet"):
        _run(StepCacheReport, model=unsampled, latent=latent)
