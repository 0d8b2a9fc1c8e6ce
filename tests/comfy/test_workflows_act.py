"""The methods of workflows for published models, on tiny models of the same classes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import comfy.sample
import pytest
import shipped
import torch
import toys
import workflow_thumbnails
from demonstration.prompts import Prompt, nodes_of, to_prompt
from stepcache import torch_settings

TOYS = {
    "sd15_deepcache": "sd15",
    "sdxl_tgate_deepcache": "sdxl",
    "sd35_smoothcache": "sd3",
    "flux_dev_blocks": "flux",
    "pixart_sigma_tgate": "pixart_sigma",
    "qwen_image_fastercache": "qwen",
    "wan21_fastercache_pab": "wan",
    "hunyuan_video_pab": "hunyuan_video",
    "ltxv_pab": "ltxv",
    "cogvideox_fastercache": "cogvideox",
    "sdxl_stack": "sdxl",
    "flux_stack": "flux",
    "wan_stack": "wan",
}
"""The tiny model of each workflow."""
UNEVEN = {"ltxv_pab"}
"""LTXVScheduler's steps are not even: a window begins and ends a step off what is drawn."""


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the host says about all nodes."""
    with shipped.all_nodes(tmp_path_factory.mktemp("host") / "models") as found:
        yield found


def test_every_model_has_a_tiny_one() -> None:
    assert set(TOYS) == set(shipped.MODELS)


@pytest.mark.parametrize("name", TOYS)
def test_a_run_reuses_what_the_picture_shows(name: str, definitions: dict[str, Any]) -> None:
    shipped.skip_if_older(name)
    prompt = to_prompt(shipped.read(name), definitions)
    (number,) = nodes_of(prompt, frozenset({"KSampler", "SamplerCustom"}))
    patched, passed = _patched(prompt, prompt[number]["inputs"]["model"], toys.load(TOYS[name]))
    latent = {"samples": _sampled(prompt, number, patched, TOYS[name])}
    (reader,) = nodes_of(prompt, frozenset({"StepCacheReport"}))
    assert prompt[reader]["inputs"]["model"] == prompt[number]["inputs"]["model"]
    report = json.loads(_node("StepCacheReport").execute(patched, latent).result[2])
    told = report.get("settings", [])

    card = workflow_thumbnails.card_of(name)
    assert passed == [method.kind for method in shipped.MODELS[name].methods]
    assert report["steps"] == card.steps
    for setting in torch_settings.settings_of(patched):
        assert any(line.startswith(setting.name) for line in told), setting.name
    for kind, shown in card.strips.items():
        done = report["kinds"][kind]["strip"]
        assert "R" in done
        # Layers below a reused deep branch are not called at all.
        called = [(d, s) for d, s in zip(done, shown, strict=True) if d != "."]
        if name in UNEVEN:
            assert abs(done.count("R") - shown.count("R")) <= 1
        else:
            assert all(d == s for d, s in called)


def _patched(prompt: Prompt, link: list[Any], model: Any) -> tuple[Any, list[str]]:
    """The model behind the pack's nodes, and which they are; other nodes are passed by."""
    node = prompt[link[0]]
    kind, inputs = node["class_type"], dict(node["inputs"])
    if "model" not in inputs:
        return model, []
    model, passed = _patched(prompt, inputs.pop("model"), model)
    if not kind.startswith("StepCache"):
        return model, passed
    if kind == "StepCacheRegionalCompile":
        # What PyTorch traces, as it is: what is compiled of it is none of a workflow's.
        setting = torch_settings.RegionalCompile(**inputs, backend="eager")
        return torch_settings.apply(model, setting), [*passed, kind]
    return _node(kind).execute(model=model, **inputs).result[0], [*passed, kind]


def _sampled(prompt: Prompt, number: str, model: Any, toy: str) -> torch.Tensor:
    """A run of the tiny model with the workflow's own sampler."""
    inputs = prompt[number]["inputs"]
    if prompt[number]["class_type"] == "KSampler":
        chosen = {"sampler": inputs["sampler_name"], "scheduler": inputs["scheduler"]}
        return toys.sample(model, toy, steps=inputs["steps"], cfg=inputs["cfg"], **chosen)
    latent = toys.TOYS[toy].empty(1)

    def made(socket: str) -> Any:
        node = prompt[inputs[socket][0]]
        given = dict(node["inputs"])
        if "model" in given:
            given["model"] = model
        if "latent" in given:
            # Of the size that people have: the steps depend on it.
            size = prompt[given["latent"][0]]
            given["latent"] = _node(size["class_type"]).execute(**size["inputs"]).result[0]
        return _node(node["class_type"]).execute(**given).result[0]

    positive, negative = toys.conditioning(toy)
    with torch.inference_mode():
        return comfy.sample.sample_custom(
            model, comfy.sample.prepare_noise(latent, 1), inputs["cfg"], made("sampler"),
            made("sigmas"), positive, negative, latent, disable_pbar=True, seed=1,
        )  # fmt: skip


def _node(kind: str) -> Any:
    import nodes

    return nodes.NODE_CLASS_MAPPINGS[kind]
