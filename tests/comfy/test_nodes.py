"""The nodes as ComfyUI calls them: schema, bad input, and the report."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pack

import pytest
import stepcache
import toys
from comfy_api.latest import io
from promises import PROMISES
from stepcache.cache_core.errors import ConfigError, StepCacheError, UnsupportedModelError
from stepcache.nodes.attention_backend import AttentionBackendNode
from stepcache.nodes.deepcache import DeepCacheUNet
from stepcache.nodes.dynamic_int8 import DynamicInt8Node
from stepcache.nodes.extension import NODES
from stepcache.nodes.fastercache import ApplyFasterCache
from stepcache.nodes.method_nodes import METHOD_NODES
from stepcache.nodes.pab import ApplyPAB
from stepcache.nodes.regional_compile import RegionalCompileNode
from stepcache.nodes.smoothcache import SmoothCacheSchedule
from stepcache.nodes.speed_audit import SpeedAudit
from stepcache.nodes.step_cache import StepCacheForecast
from stepcache.nodes.step_cache_compare import StepCacheCompare
from stepcache.nodes.step_cache_compare_runs import StepCacheCompareRuns
from stepcache.nodes.step_cache_report import StepCacheReport
from stepcache.nodes.tgate import TGateGate

PROMISED = {
    **{promise.node: promise.inputs for promise in PROMISES.values()},
    "StepCacheCalibrate": {
        "model": None, "name": "my calibration", "existing_file": "add to it", "lookahead": 4,
        "each_layer": False, "average": "per sample", "memory": 1024,
    },
    "StepCacheCurves": {"model": None, "latent": None},
    "StepCacheExport": {"model": None, "name": "schedule"},
    "StepCacheAdvisor": {"model": None, "calibration": None, "speedup": 1.5},
    "StepCacheReport": {"model": None, "latent": None},
    "StepCacheCompare": {"plain": None, "cached": None, "shown": 0, "model": None},
    "StepCacheCompareRuns": {
        "model": None, "positive": None, "negative": None, "latent_image": None, "vae": None,
        "seed": 0, "steps": 20, "cfg": 8.0, "sampler_name": None, "scheduler": None,
        "denoise": 1.0, "shown": 0,
    },
    "StepCacheAttentionBackend": {"model": None, "backend": "auto"},
    "StepCachePrecision": {"model": None, "products": "TF32", "sums": "as it is"},
    "StepCacheFusedProjections": {"model": None},
    "StepCacheDynamicInt8": {
        "model": None, "least_width": 512, "without_gain": "stop with a message",
    },
    "StepCacheRegionalCompile": {"model": None, "dynamic": "auto"},
    "StepCacheSpeedAudit": {
        "model": None, "positive": None, "negative": None, "latent_image": None, "seed": 0,
        "steps": 20, "cfg": 8.0, "sampler_name": None, "scheduler": None, "denoise": 1.0,
        "measure_cache": True,
    },
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
    assert list(found.items()) == list(PROMISED[schema.node_id].items()), "widgets have an order"
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
        (StepCacheForecast, {"speed": 0.5}, r"Step Cache: speed is 0.5; expected 1 … 5"),
        (StepCacheForecast, {"speed": 5.1}, r"Step Cache: speed is 5.1; expected 1 … 5"),
        (StepCacheForecast, {"speed": float("nan")}, "Step Cache: speed is nan; expected 1 … 5"),
        (StepCacheForecast, {"carried": "all"}, "Step Cache: carried is 'all'; expected one of"),
        (
            StepCacheForecast,
            {"start_percent": 0.6, "end_percent": 0.6},
            "Step Cache: start_percent 0.6 is not before end_percent 0.6",
        ),
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
        (ApplyPAB, {"feed_forward_start": 1.0, "feed_forward_count": 2}, "Apply PAB: broadcast"),
        (ApplyPAB, {"feed_forward_count": -1}, "Apply PAB: broadcast"),
        (ApplyPAB, {"feed_forward_blocks": -1}, "Apply PAB: feed_forward_blocks is -1"),
        (ApplyFasterCache, {"cross_attention": 0}, "Apply FasterCache: the range of cross_att"),
        (ApplyFasterCache, {"guidance_interval": 0}, "Apply FasterCache: the range of guidance"),
        (
            ApplyFasterCache,
            {"attention_start_percent": 1.0},
            "Apply FasterCache (attention): start_percent 1 is not before end_percent 1",
        ),
        (
            ApplyFasterCache,
            {"guidance_end_percent": 0.2},
            "Apply FasterCache (guidance): start_percent 0.33 is not before end_percent 0.2",
        ),
        (
            ApplyFasterCache,
            {"switch_percent": 0.0},
            "Apply FasterCache (switch_percent): start_percent 0 is not before end_percent 0",
        ),
        (ApplyFasterCache, {"low_gain": 0.0}, "Apply FasterCache: low_gain is 0; expected more"),
        (ApplyFasterCache, {"high_gain": float("nan")}, "Apply FasterCache: high_gain is nan"),
        (TGateGate, {"gate_share": 0.0}, "TGATE Gate: gate_share is 0; expected more than 0"),
        (
            TGateGate,
            {"gate_step": 18, "warm_up": 18},
            "TGATE Gate: warm_up is 18 with gate_step 18; expected 0 … 17",
        ),
        (TGateGate, {"self_interval": 0}, "TGATE Gate: interval is 0; expected 1 or more"),
        (SmoothCacheSchedule, {"steps": -1}, "SmoothCache Schedule: steps is -1; expected the"),
        (
            SmoothCacheSchedule,
            {"schedule": "gone.json"},
            "SmoothCache Schedule: there is no file gone.json in user/default/stepcache, in models",
        ),
        (
            ApplyPAB,
            {"preset": "Sora"},
            "Apply PAB: there is no preset 'Sora'; expected one of: custom, Open-Sora 1.2",
        ),
    ],
)
def test_bad_input_is_refused_in_words(node: Any, inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        _run(node, model=toys.load("sd15"), **inputs)
    assert str(refusal.value).startswith(words)


def test_deepcache_on_a_transformer_names_model_and_remedy() -> None:
    with pytest.raises(UnsupportedModelError, match=r"^DeepCache UNet: .*WanModel.*Apply PAB"):
        _run(DeepCacheUNet, model=toys.load("wan"))


@pytest.mark.parametrize("node", METHOD_NODES.values(), ids=lambda node: node.__name__)
def test_defaults_act(node: Any) -> None:
    patched = _run(node, model=toys.load("sd15")).result[0]
    latent = {"samples": toys.sample(patched, "sd15", steps=20)}
    data = json.loads(_run(StepCacheReport, model=patched, latent=latent).result[2])
    assert data["reused"] > 0


def test_step_cache_says_what_to_expect_before_the_run() -> None:
    text = _run(StepCacheForecast, model=toys.load("wan"), speed=2.5).result[1]
    first, *lines, legend, few = text.splitlines()
    assert first.startswith("Step Cache (speed 2.5, ")
    assert few.startswith("Runs of 8 steps or fewer")
    assert legend == "C computed   R forecast"
    for line in lines:
        steps, computed, strip = re.fullmatch(
            r" *(\d+) steps: +(\d+) run the model  ([CR]+)", line
        ).groups()
        assert len(strip) == int(steps)
        assert strip.count("C") == int(computed) == max(round(int(steps) / 2.5), 3)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        *((wanted, {StepCacheForecast}) for wanted in (
            "teacache", "easycache", "speed", "faster", "accelerate"
        )),
        ("compile", {RegionalCompileNode}),
        ("compare", {StepCacheCompare, StepCacheCompareRuns}),
        ("flash attention", {AttentionBackendNode}),
        ("int8", {DynamicInt8Node}),
        ("why slow", {SpeedAudit}),
    ],
)  # fmt: skip
def test_nodes_are_found_by_what_people_look_for(wanted: str, found: set[type]) -> None:
    """In the host's answer, which the front end searches."""
    aliases = {node: node.GET_NODE_INFO_V1()["search_aliases"] or () for node in NODES}
    assert {node for node, words in aliases.items() if wanted in words} == found


def test_the_report_node_shows_and_hands_on() -> None:
    patched = _run(ApplyPAB, model=toys.load("wan")).result[0]
    latent = {"samples": toys.sample(patched, "wan", steps=8)}
    output = _run(StepCacheReport, model=patched, latent=latent)
    handed_on, text, data, drawn = output.result
    assert handed_on is latent
    assert output.ui == {"text": (text,), "stepcache_report": (data,)}
    assert drawn.shape[0] == 1 and drawn.shape[2:] == (1024, 3)
    assert "Apply PAB" in text
    assert "self_attention" in text
    assert json.loads(data)["version"] == 1


def test_the_report_node_hands_on_what_a_plain_model_drew() -> None:
    """Somebody who bypasses the method to see the plain picture must get it."""
    latent = {"samples": None}
    handed_on, text, data, drawn = _run(
        StepCacheReport, model=toys.load("wan"), latent=latent
    ).result
    assert handed_on is latent
    assert text.startswith("No Step Cache node is attached to this model")
    assert json.loads(data) is None
    assert drawn.shape[2:] == (1024, 3)


def test_the_report_node_says_what_is_missing() -> None:
    latent = {"samples": None}
    unsampled = _run(ApplyPAB, model=toys.load("wan")).result[0]
    with pytest.raises(StepCacheError, match=r"Step Cache Report: .* not been sampled yet"):
        _run(StepCacheReport, model=unsampled, latent=latent)


@pytest.mark.parametrize(
    "path", sorted((pack.ROOT / "workflows").glob("*.json")), ids=lambda p: p.stem
)
def test_a_shipped_workflow_saves_a_value_for_every_widget(path: Path) -> None:
    """In the order of the schema, as the front end restores them."""
    schemas = {schema.node_id: schema for schema in (node.define_schema() for node in NODES)}
    graph = json.loads(path.read_text(encoding="utf-8"))
    for node in graph["nodes"]:
        if node["type"] not in schemas:
            continue
        widgets = [i for i in schemas[node["type"]].inputs if isinstance(i, io.WidgetInput)]
        saved = list(node.get("widgets_values", []))
        for number, widget in enumerate(widgets):
            # The front end puts a widget of its own behind a seed.
            if getattr(widget, "control_after_generate", None):
                assert saved.pop(number + 1) == "fixed"
        assert len(saved) == len(widgets), node["type"]
        for widget, value in zip(widgets, saved, strict=True):
            options = getattr(widget, "options", None) or ()
            assert isinstance(value, type(widget.default)) or value in options
