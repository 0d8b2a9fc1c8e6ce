"""The shipped workflows, and the genuine nodes that they are for."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pack

import host
import pytest
from workflow_picture_models import PICTURE_MODELS
from workflow_recipes import RECIPES
from workflow_video_models import VIDEO_MODELS

FOLDER = pack.ROOT / "workflows"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
MODELS = PICTURE_MODELS | VIDEO_MODELS | RECIPES
"""Those for published models, by the name of the workflow."""
YOUR_CHECKPOINT = "choose-a-checkpoint.safetensors"
"""What stands in workflows that are for any checkpoint."""
LOADED_FROM = ("checkpoints", "diffusion_models", "text_encoders", "vae")


def skip_if_older(name: str) -> None:
    """Skip the running test where the host lacks an input of a workflow."""
    if name in MODELS and MODELS[name].fps is not None:
        host.skip_if_older("0.27.0", "the input bit_depth of Create Video")


def read(name: str) -> dict[str, Any]:
    """A workflow, as the front end reads it."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def needs_the_demo(file: Path) -> bool:
    """Whether a file is a workflow, or its picture, that nodes of the demo are in."""
    saved = file.with_suffix(".json")
    return file.parent.name == "workflows" and '"type": "Shapes' in saved.read_text("utf-8")


@contextlib.contextmanager
def all_nodes(models: Path) -> Iterator[dict[str, Any]]:
    """The host with its own extra nodes, the pack's and the demo's.

    Args:
        models: where its loaders look for weights, and nowhere else but in the demo's folder.

    Returns:
        What the host tells a front end about every node, by class.
    """
    import folder_paths

    import nodes

    with pytest.MonkeyPatch.context() as patched:
        for folder in LOADED_FROM:
            (models / folder).mkdir(parents=True)
            _, endings = folder_paths.folder_names_and_paths[folder]
            found = ([str(models / folder)], endings)
            patched.setitem(folder_paths.folder_names_and_paths, folder, found)
        before = dict(nodes.NODE_CLASS_MAPPINGS)
        try:
            asyncio.run(_load())
            yield {kind: _info(node) for kind, node in nodes.NODE_CLASS_MAPPINGS.items()}
        finally:
            nodes.NODE_CLASS_MAPPINGS.clear()
            nodes.NODE_CLASS_MAPPINGS.update(before)


def complaints(prompt: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """What the host finds wrong with a prompt: class of node, kind of error, value or input."""
    import execution

    ok, error, _, by_node = asyncio.run(
        execution.validate_prompt("shipped", copy.deepcopy(dict(prompt)), None)
    )
    found = [
        (node["class_type"], each["type"], _about(each["extra_info"]))
        for node in by_node.values()
        for each in node["errors"]
    ]
    if ok or found:
        return found
    assert error is not None
    return [("", error["type"], error["details"])]


def _about(extra: Mapping[str, Any]) -> Any:
    return extra.get("received_value", extra.get("input_name"))


async def _load() -> None:
    import stepcache

    import demo
    import nodes

    await nodes.init_builtin_extra_nodes()
    for package in (stepcache, demo):
        extension = await package.comfy_entrypoint()
        for node in await extension.get_node_list():
            nodes.NODE_CLASS_MAPPINGS[node.define_schema().node_id] = node


def _info(node: Any) -> dict[str, Any]:
    """As GET /object_info has it, cut down to inputs and outputs."""
    if hasattr(node, "GET_NODE_INFO_V1"):
        return node.GET_NODE_INFO_V1()
    return {"input": node.INPUT_TYPES(), "output": node.RETURN_TYPES}
