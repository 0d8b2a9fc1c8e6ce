"""Shipped workflows become the prompts that the front end would send."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import build_workflows
import pytest
from demonstration.comparison import find_groups, missing_nodes, weight_files
from demonstration.options import parse
from demonstration.prompts import PromptError, nodes_of, to_prompt, with_inputs, with_seed

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))

SEED = ["INT", {"control_after_generate": True}]
COMBO_LIST = [["a", "b"], {}]
COMBO = ["COMBO", {"options": ["a", "b"]}]


def node(*, outputs: int = 1, optional: Any = None, **inputs: Any) -> dict[str, Any]:
    """A node as GET /object_info describes it, cut down to what the conversion reads."""
    return {"input": {"required": inputs, "optional": optional or {}}, "output": ["ANY"] * outputs}


def links(*names: str) -> dict[str, list[str]]:
    return {name: [name.upper()] for name in names}


OBJECT_INFO = {
    "ShapesUNetLoader": node(model_name=COMBO),
    "UNETLoader": node(unet_name=COMBO_LIST, weight_dtype=COMBO_LIST),
    "ModelSamplingSD3": node(**links("model"), shift=["FLOAT", {}]),
    "ShapesCaption": node(caption=["STRING", {"multiline": True}]),
    "EmptyLatentImage": node(width=["INT", {}], height=["INT", {}], batch_size=["INT", {}]),
    "EmptyHunyuanLatentVideo": node(
        width=["INT", {}], height=["INT", {}], length=["INT", {}], batch_size=["INT", {}]
    ),
    "KSampler": node(
        **links("model"),
        seed=SEED,
        steps=["INT", {}],
        cfg=["FLOAT", {}],
        sampler_name=COMBO_LIST,
        scheduler=COMBO_LIST,
        **links("positive", "negative", "latent_image"),
        denoise=["FLOAT", {}],
    ),
    "StepCacheDeepCacheUNet": node(
        **links("model"),
        interval=["INT", {}],
        branch=["INT", {}],
        schedule=COMBO,
        center=["INT", {}],
        power=["FLOAT", {}],
        start_percent=["FLOAT", {}],
        end_percent=["FLOAT", {}],
        preset=COMBO,
    ),
    "StepCacheForecast": node(
        **links("model"),
        speed=["FLOAT", {}],
        start_percent=["FLOAT", {}],
        end_percent=["FLOAT", {}],
        carried=COMBO,
        outputs=2,
    ),
    "StepCacheApplyPAB": node(
        **links("model"),
        self_attention=["INT", {}],
        temporal_attention=["INT", {}],
        cross_attention=["INT", {}],
        start_percent=["FLOAT", {}],
        end_percent=["FLOAT", {}],
        feed_forward_start=["FLOAT", {}],
        feed_forward_count=["INT", {}],
        feed_forward_blocks=["INT", {}],
        preset=COMBO,
        block=["INT", {}],
    ),
    "StepCacheApplyFasterCache": node(
        **links("model"),
        preset=COMBO,
        self_attention=["INT", {}],
        temporal_attention=["INT", {}],
        cross_attention=["INT", {}],
        attention_start_percent=["FLOAT", {}],
        attention_end_percent=["FLOAT", {}],
        guidance_interval=["INT", {}],
        guidance_start_percent=["FLOAT", {}],
        guidance_end_percent=["FLOAT", {}],
        low_gain=["FLOAT", {}],
        high_gain=["FLOAT", {}],
        switch_percent=["FLOAT", {}],
    ),
    "StepCacheTGate": node(
        **links("model"),
        preset=COMBO,
        gate_step=["INT", {}],
        warm_up=["INT", {}],
        self_interval=["INT", {}],
        gated_interval=["INT", {}],
        after_gate=COMBO,
    ),
    "StepCacheSmoothCache": node(
        **links("model"),
        schedule=COMBO,
        steps=["INT", {}],
        optional={
            "choose_by": COMBO,
            "threshold": ["FLOAT", {}],
            "speedup": ["FLOAT", {}],
            "quality": ["FLOAT", {}],
            "lookahead": ["INT", {}],
            "parts": COMBO,
        },
        outputs=3,
    ),
    "StepCacheCalibrate": node(
        **links("model"),
        name=["STRING", {}],
        existing_file=COMBO,
        lookahead=["INT", {}],
        each_layer=["BOOLEAN", {}],
        average=COMBO,
        memory=["INT", {}],
    ),
    "StepCacheCurves": node(**links("model", "latent"), outputs=3),
    "StepCacheAdvisor": node(**links("model"), calibration=COMBO, speedup=["FLOAT", {}], outputs=2),
    "StepCacheReport": node(**links("model", "latent"), outputs=4),
    "ShapesDecode": node(**links("samples")),
    "SaveImage": node(**links("images"), filename_prefix=["STRING", {}], outputs=0),
    "PreviewImage": node(**links("images"), outputs=0),
    "PreviewAny": node(source=["*", {}]),
    "ShapesJudge": node(**links("images"), caption=["STRING", {"multiline": True}]),
}


def load(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf-8"))


def only(prompt: dict[str, Any], kind: str) -> dict[str, Any]:
    (number,) = nodes_of(prompt, frozenset({kind}))
    return prompt[number]["inputs"]


def test_files_are_what_the_script_writes() -> None:
    written = {path.stem: path.read_text("utf-8") for path in WORKFLOWS}
    assert written == build_workflows.build()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_links_agree_on_both_ends(path: Path) -> None:
    workflow = json.loads(path.read_text("utf-8"))
    nodes = {one["id"]: one for one in workflow["nodes"]}
    for number, source, slot, target, socket, kind in workflow["links"]:
        out, into = nodes[source]["outputs"][slot], nodes[target]["inputs"][socket]
        assert number in out["links"]
        assert into["link"] == number
        assert out["type"] == into["type"] == kind


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nodes_do_not_overlap(path: Path) -> None:
    boxes = [(*n["pos"], *n["size"]) for n in json.loads(path.read_text("utf-8"))["nodes"]]
    title_bar = 30
    for i, (x, y, width, height) in enumerate(boxes):
        for other_x, other_y, other_width, other_height in boxes[i + 1 :]:
            apart_across = x + width <= other_x or other_x + other_width <= x
            apart_down = (
                y + height + title_bar <= other_y or other_y + other_height + title_bar <= y
            )
            assert apart_across or apart_down


def test_values_reach_the_input_of_their_name() -> None:
    prompt = to_prompt(load("unet_deepcache"), OBJECT_INFO)
    sampler = only(prompt, "KSampler")
    assert (sampler["seed"], sampler["steps"], sampler["denoise"]) == (1, 30, 1.0)
    method = only(prompt, "StepCacheDeepCacheUNet")
    assert (method["interval"], method["schedule"], method["power"]) == (3, "uniform", 1.4)


def test_the_sampler_and_the_report_see_the_patched_model() -> None:
    prompt = to_prompt(load("dit_pab"), OBJECT_INFO)
    (patch,) = nodes_of(prompt, frozenset({"StepCacheApplyPAB"}))
    assert only(prompt, "KSampler")["model"] == [patch, 0]
    assert only(prompt, "StepCacheReport")["model"] == [patch, 0]


def test_notes_are_not_executed() -> None:
    prompt = to_prompt(load("unet_plain"), OBJECT_INFO)
    assert not nodes_of(prompt, frozenset({"MarkdownNote", "Note"}))


def test_a_node_that_the_server_lacks_is_named() -> None:
    fewer = {kind: info for kind, info in OBJECT_INFO.items() if kind != "StepCacheApplyPAB"}
    with pytest.raises(PromptError, match="no node StepCacheApplyPAB"):
        to_prompt(load("dit_pab"), fewer)
    groups = find_groups(parse(["--only", "dit"]))
    assert {"dit_stepcache", "dit_clip_stepcache"} <= {n for g in groups for n in g.files}
    assert missing_nodes(groups, fewer) == ["StepCacheApplyPAB"]
    assert missing_nodes(groups, OBJECT_INFO) == []


def test_values_that_do_not_fit_the_widgets_are_refused() -> None:
    workflow = load("dit_pab")
    for one in workflow["nodes"]:
        if one["type"] == "StepCacheApplyPAB":
            one["widgets_values"].pop()
    with pytest.raises(PromptError, match=r"9 saved values, but .* 10 widgets"):
        to_prompt(workflow, OBJECT_INFO)


def test_another_seed_changes_the_sampler_only_and_not_the_original() -> None:
    prompt = to_prompt(load("unet_plain"), OBJECT_INFO)
    before = copy.deepcopy(prompt)
    changed = with_seed(prompt, 77)
    assert only(changed, "KSampler")["seed"] == 77
    assert prompt == before
    only(changed, "KSampler")["seed"] = 1
    assert changed == before


def test_links_are_never_replaced_by_values() -> None:
    prompt = to_prompt(load("unet_plain"), OBJECT_INFO)
    changed = with_inputs(prompt, {"model": "x", "nothing": 1}, frozenset({"KSampler"}))
    assert changed == prompt


def test_every_model_has_its_plain_run_first() -> None:
    groups = {group.name: list(group.files) for group in find_groups(parse([]))}
    assert {"unet", "dit", "dit_clip"} <= groups.keys()
    assert "checkpoint" not in groups
    for name, files in groups.items():
        assert files[0] == f"{name}_plain"
        assert len(files) > 1
    assert "dit_clip_pab" not in groups["dit"]


def test_the_persons_checkpoint_runs_the_checkpoint_workflows() -> None:
    (group,) = find_groups(parse(["--model", "any.safetensors"]))
    assert group.name == "checkpoint"
    assert "checkpoint_smoothcache" in group.files
    assert not {"checkpoint_calibrate", "checkpoint_advisor"} & set(group.files)


def test_the_weights_that_workflows_name_are_found() -> None:
    assert weight_files(find_groups(parse([]))) == {
        "shapes_unet.safetensors",
        "shapes_dit.safetensors",
    }
