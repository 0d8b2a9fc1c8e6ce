"""Every shipped workflow is what the host's own check accepts, but for the weights it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shipped
from demonstration.prompts import NOTES, Prompt, PromptError, to_prompt

Workflow = dict[str, Any]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the loaders look for weights."""
    return tmp_path_factory.mktemp("host") / "models"


@pytest.fixture(scope="module")
def definitions(models: Path) -> Iterator[dict[str, Any]]:
    """What the host says about all nodes."""
    with shipped.all_nodes(models) as found:
        yield found


@pytest.fixture
def workflow(request: pytest.FixtureRequest) -> Workflow:
    """The file of a name."""
    shipped.skip_if_older(request.param)
    return shipped.read(request.param)


each_workflow = pytest.mark.parametrize("workflow", shipped.NAMES, indirect=True)
each_model = pytest.mark.parametrize("name", shipped.MODELS)


@pytest.fixture
def weights(models: Path) -> Iterator[None]:
    """Empty files in the folders that the notes name: the host looks at names only."""
    files = [(file.folder, file.name) for each in shipped.MODELS.values() for file in each.files]
    paths = {models / folder / name for folder, name in files}
    paths.add(models / "checkpoints" / shipped.YOUR_CHECKPOINT)
    for path in paths:
        path.touch()
    yield
    for path in paths:
        path.unlink()


@each_workflow
def test_only_the_weights_are_missing(workflow: Workflow, definitions: dict[str, Any]) -> None:
    wanted = [
        (node["type"], "value_not_in_list", value)
        for node in workflow["nodes"]
        if node["type"] not in NOTES
        for value in node["widgets_values"]
        if str(value).endswith((".safetensors", ".pth")) and not value.startswith("shapes_")
    ]
    found = shipped.complaints(to_prompt(workflow, definitions))
    assert sorted(found) == sorted(wanted)


@each_workflow
@pytest.mark.usefixtures("weights")
def test_with_the_weights_in_their_folders_nothing_is_missing(
    workflow: Workflow, definitions: dict[str, Any]
) -> None:
    assert shipped.complaints(to_prompt(workflow, definitions)) == []


@each_workflow
def test_every_value_has_an_input_and_every_input_a_value(
    workflow: Workflow, definitions: dict[str, Any]
) -> None:
    for node in to_prompt(workflow, definitions).values():
        known = definitions[node["class_type"]]["input"]
        left_out = set(known["required"]) - set(node["inputs"])
        assert not left_out, node["class_type"]
        assert set(node["inputs"]) <= {*known["required"], *known.get("optional", {})}


@each_workflow
def test_sockets_have_the_names_and_types_of_the_node(
    workflow: Workflow, definitions: dict[str, Any]
) -> None:
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        known = definitions[node["type"]]
        inputs = {**known["input"]["required"], **known["input"].get("optional", {})}
        for socket in node["inputs"]:
            assert inputs[socket["name"]][0] in (socket["type"], "*"), node["type"]
        saved = [output["type"] for output in node["outputs"]]
        assert saved == list(known["output"])[: len(saved)], node["type"]


@each_model
def test_the_first_note_names_every_file_and_its_folder(name: str) -> None:
    workflow = shipped.read(name)
    (first,) = (node for node in workflow["nodes"] if node.get("title") == "Start here")
    assert first["pos"] == [0, 0]
    (text,) = first["widgets_values"]
    named = [
        value
        for node in workflow["nodes"]
        if "Loader" in node["type"]
        for value in node["widgets_values"]
        if value.endswith((".safetensors", ".pth"))
    ]
    files = shipped.MODELS[name].files
    assert sorted(named) == sorted(file.name for file in files)
    for file in files:
        assert f"- [{file.name}](https://huggingface.co/{file.repository}) in models/" in text
        assert f") in models/{file.folder}\n" in text


@each_model
def test_the_front_end_is_told_where_a_missing_file_is(name: str) -> None:
    offered = {
        each["name"]: each
        for node in shipped.read(name)["nodes"]
        for each in node["properties"].get("models", ())
    }
    assert set(offered) == {file.name for file in shipped.MODELS[name].files if file.path}
    assert offered, "at least the text encoder is published in one file"
    for each in offered.values():
        # The front end downloads nothing else.
        assert each["url"].startswith("https://huggingface.co/")
        assert each["url"].endswith(f"/{each['name']}")
        assert each["name"].endswith(".safetensors")
        assert each["directory"] in shipped.LOADED_FROM


# The check can fail: the same, with one thing wrong.


def node_of(workflow: Workflow, kind: str) -> dict[str, Any]:
    """The first node of a class."""
    return next(node for node in workflow["nodes"] if node["type"] == kind)


def _choose_another_clip(workflow: Workflow) -> None:
    node_of(workflow, "DualCLIPLoader")["widgets_values"][2] = "flux3"


def _cut_a_link(workflow: Workflow) -> None:
    node_of(workflow, "KSampler")["inputs"][0]["link"] = None


def _take_another_output(workflow: Workflow) -> None:
    """The report's text for its latent."""
    report = node_of(workflow, "StepCacheReport")
    target = node_of(workflow, "VAEDecode")["inputs"][0]["link"]
    link = next(each for each in workflow["links"] if each[0] == target)
    assert link[1] == report["id"]
    link[2] = 1


def _go_too_far(workflow: Workflow) -> None:
    node_of(workflow, "StepCacheApplyPAB")["widgets_values"][4] = 1.5


def _swap_steps_and_cfg(workflow: Workflow) -> None:
    values = node_of(workflow, "KSampler")["widgets_values"]
    values[2], values[4] = values[4], values[2]


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (_choose_another_clip, ("DualCLIPLoader", "value_not_in_list", "flux3")),
        (_cut_a_link, ("KSampler", "required_input_missing", "model")),
        (_take_another_output, ("VAEDecode", "return_type_mismatch", "samples")),
        (_go_too_far, ("StepCacheApplyPAB", "value_bigger_than_max", 1.5)),
        (_swap_steps_and_cfg, ("KSampler", "invalid_input_type", "euler")),
    ],
)
@pytest.mark.parametrize("workflow", ["flux_dev_blocks"], indirect=True)
@pytest.mark.usefixtures("weights")
def test_what_is_wrong_is_found(
    workflow: Workflow,
    break_it: Callable[[Workflow], None],
    complaint: tuple[str, str, Any],
    definitions: dict[str, Any],
) -> None:
    break_it(workflow)
    prompt: Prompt = to_prompt(workflow, definitions)
    assert complaint in shipped.complaints(prompt)


@pytest.mark.parametrize("kind", ["KSampler", "UNETLoader", "StepCacheApplyPAB", "FluxGuidance"])
@pytest.mark.parametrize("is_longer", [True, False])
@pytest.mark.parametrize("workflow", ["flux_dev_blocks"], indirect=True)
def test_another_number_of_values_is_refused(
    workflow: Workflow, kind: str, is_longer: bool, definitions: dict[str, Any]
) -> None:
    values = node_of(workflow, kind)["widgets_values"]
    _ = values.append(1) if is_longer else values.pop()
    with pytest.raises(PromptError, match=rf"\({kind}\) has .* saved values, but"):
        to_prompt(workflow, definitions)
