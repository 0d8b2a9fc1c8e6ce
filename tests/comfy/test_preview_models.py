"""What a strip says of a model that nobody has loaded yet, by the file that its loader names."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import folder_paths
import pytest
import torch
import toys
from model_files import header_of, published, write
from patience import HANG
from safetensors.torch import save_file
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import ModelInfo, attach
from stepcache.nodes.extension import with_strips
from stepcache.previews import cache as caches
from stepcache.previews import model_file
from stepcache.previews.cache import PreviewCache
from stepcache.previews.model_file import model_info_of
from stepcache.previews.preview import preview

NODES = with_strips()
PAB, DEEP, SMOOTH = "StepCacheApplyPAB", "StepCacheDeepCacheUNet", "StepCacheSmoothCache"
STEPS = 20
Folders = dict[str, Path]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folders]:
    """Empty folders of models, as the host knows them."""
    made = {name: tmp_path / name for name in model_file.FOLDERS}
    for name, folder in made.items():
        folder.mkdir()
        kinds = folder_paths.folder_names_and_paths[name][1]
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, ([str(folder)], kinds))
        folder_paths.filename_list_cache.pop(name, None)
    yield made
    for name in made:
        folder_paths.filename_list_cache.pop(name, None)


def ask(
    node: str, *files: str, cache: PreviewCache | None = None, **question: Any
) -> dict[str, Any]:
    """What is said once the file has been looked at; every name stands on a loader of its own."""
    asked = {"node": node, "steps": STEPS, "files": [[name] for name in files], **question}
    cache = cache or PreviewCache()
    while (said := preview(NODES, asked, cache))["is_pending"]:
        wait(cache.looks())
    return said


LAYOUTS = {
    "SD1.5": ("checkpoints", "model.diffusion_model."),
    "SDXL": ("checkpoints", "model.diffusion_model."),
    "Flux dev": ("diffusion_models", ""),
    "Wan 2.1 14B": ("diffusion_models", "model.diffusion_model."),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_published_model_is_known_by_its_header(name: str, folders: Folders) -> None:
    network, shapes = published(name)
    folder, prefix = LAYOUTS[name]
    shapes = {prefix + key.removeprefix("model.diffusion_model."): s for key, s in shapes.items()}
    write(folders[folder] / "m.safetensors", header_of({**shapes, "vae.weight": (3,)}))
    generator = torch.get_rng_state()
    found = model_info_of(folders[folder] / "m.safetensors")
    assert torch.equal(torch.get_rng_state(), generator), "a run beside it would change"
    assert found == ModelInfo.of(network)
    kinds = {str(kind) for kind in found.facts.layers}
    said = ask(PAB, "m.safetensors")
    assert said["strips"].keys() == {"self_attention", "cross_attention"} & kinds or "Flux" in name
    assert "temporal_attention" in ask(PAB)["strips"]


def _stored(name: str, file: Path) -> Path:
    """A tiny model of the host's loader, written by safetensors."""
    weights = toys.load(name).model.diffusion_model.state_dict()
    save_file({key: weight.contiguous() for key, weight in weights.items()}, file)
    return file


SETTINGS: list[tuple[str, dict[str, Any]]] = [
    *((node, {}) for node in NODES if "Advisor" not in node),
    (DEEP, {"branch": 11}),
    (SMOOTH, {"schedule": "shapes dit, 30 steps.json", "choose_by": "speedup", "steps": STEPS}),
]


@pytest.mark.parametrize("model", ["sd15_file", "flux_file"])
def test_before_a_run_a_strip_says_what_the_node_would(model: str, folders: Folders) -> None:
    """Its layers, or its refusal in the same words."""
    _stored(model, folders["diffusion_models"] / "tiny.safetensors")
    cache, refused = PreviewCache(), set[str]()
    for node, inputs in SETTINGS:
        defaults = {i.id: i.default for i in NODES[node].define_schema().inputs if i.id != "model"}
        said = ask(node, "tiny.safetensors", cache=cache, inputs=inputs)
        try:
            attach(toys.load(model), NODES[node].method(**{**defaults, **inputs}))
        except StepCacheError as error:
            assert said["error"] == str(error)
            refused.add(node)
            continue
        layers = model_info_of(folders["diffusion_models"] / "tiny.safetensors").facts.layers
        assert said["error"] is None
        assert said["strips"]
        assert said["strips"].keys() <= {"evaluation", *(str(kind) for kind in layers)}
    assert {DEEP, SMOOTH} <= refused


def test_what_a_run_has_shown_counts(folders: Folders) -> None:
    _stored("flux_file", folders["checkpoints"] / "tiny.safetensors")
    shown = {"self_attention": 3, "temporal_attention": 2}
    for node in (PAB, DEEP):
        assert ask(node, "tiny.safetensors", layers=shown) == ask(node, layers=shown)
    own = model_info_of(folders["checkpoints"] / "tiny.safetensors").facts.layers
    said = ask(DEEP, "tiny.safetensors", layers={str(kind): n for kind, n in own.items()})
    assert "no skip connections" in said["error"]


def test_loaders_that_differ_tell_nothing(folders: Folders) -> None:
    """A switch chooses one of them when it runs; a merge needs two that are alike."""
    for name, file in (("flux_file", "a"), ("flux_file", "b"), ("sd15_file", "c")):
        _stored(name, folders["checkpoints"] / f"{file}.safetensors")
    unknown = ask(DEEP)
    assert "no skip" in ask(DEEP, "a.safetensors", "b.safetensors")["error"]
    assert ask(DEEP, "a.safetensors", "c.safetensors") == unknown
    assert ask(DEEP, "a.safetensors", "elsewhere.safetensors") == unknown
    assert ask(DEEP, files=[["a.safetensors"], []]) == unknown
    assert "no skip" in ask(DEEP, files=[["a.safetensors", "vae.safetensors"]])["error"]


def test_a_file_that_was_written_anew_is_read_anew(folders: Folders) -> None:
    file, cache = folders["checkpoints"] / "m.safetensors", PreviewCache()
    _stored("flux_file", file)
    assert ask(DEEP, file.name, cache=cache)["error"]
    _stored("sd15_file", file)
    assert ask(DEEP, file.name, cache=cache)["error"] is None


@pytest.mark.parametrize("name", ["{}", "../{}", "sub/../../checkpoints/{}", "a\0{}", "", "."])
def test_nothing_is_read_but_what_loaders_offer(
    name: str, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = _stored("flux_file", folders["checkpoints"].parent / "outside.safetensors")
    monkeypatch.setattr(caches, "model_info_of", lambda path: pytest.fail(f"reads {path}"))
    for given in (name.format(outside), name.format(outside.name)):
        assert model_file.files_named([given]) == []
        assert ask(DEEP, given) == ask(DEEP)


def test_the_first_answer_does_not_wait_for_a_slow_look(monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on = threading.Event()
    file = model_file.ModelFile(Path("m.safetensors"), 0, 0)
    flux = ModelInfo.of(published("Flux dev")[0])
    monkeypatch.setattr(caches, "files_named", lambda names: [file])
    monkeypatch.setattr(
        caches, "model_info_of", lambda path: flux if may_go_on.wait(HANG) else None
    )
    cache = PreviewCache()
    asked = {"node": DEEP, "steps": STEPS, "files": [["m.safetensors"]]}
    first = preview(NODES, asked, cache)
    assert first == {**ask(DEEP), "is_pending": True}
    may_go_on.set()
    assert "no skip connections" in ask(DEEP, "m.safetensors", cache=cache)["error"]


def test_other_layouts_of_the_same_weights_are_known(folders: Folders) -> None:
    """As diffusers names them, and with notes on how layers are quantized."""
    import comfy.utils

    network, shapes = published("SD1.5")
    own = {name.removeprefix("model.diffusion_model."): shape for name, shape in shapes.items()}
    config = dict(toys.unet_config(4, [1] * 6 + [0] * 2, [1] * 9 + [0] * 3, 1))
    config |= {"model_channels": 320, "channel_mult": [1, 2, 4, 4], "context_dim": 768}
    theirs = {n: own[o] for n, o in comfy.utils.unet_to_diffusers(config).items() if o in own}
    assert theirs.keys() != own.keys()
    file = folders["checkpoints"] / "m.safetensors"
    for layout in (theirs, {**shapes, "model.diffusion_model.out.2.comfy_quant": (30,)}):
        assert model_info_of(write(file, header_of(layout))) == ModelInfo.of(network)


Change = Callable[[dict[str, Any]], object]


def _with_layers_beyond_number(header: dict[str, Any]) -> None:
    config = json.dumps({"transformer": {"num_layers": 10**9}})
    header["__metadata__"] = {"config": config}


UNKNOWN: dict[str, tuple[str, Change]] = {
    "a weight is missing": ("flux_file", lambda header: header.pop("final_layer.linear.bias")),
    "a weight of another shape": (
        "flux_file",
        lambda header: header["img_in.weight"].update(shape=[64, 128]),
    ),
    "no model": ("flux_file", lambda header: (header.clear(), header.update(header_of({"a": ()})))),
    "a tower of layers": ("ltxv_file", _with_layers_beyond_number),
    "no JSON in it": (
        "ltxv_file",
        lambda header: header.update({"__metadata__": {"config": "[" * 10**5}}),
    ),
}


@pytest.mark.parametrize("why", UNKNOWN)
def test_what_is_unexpected_is_as_if_there_were_no_file(
    why: str, folders: Folders, caplog: pytest.LogCaptureFixture
) -> None:
    model, change = UNKNOWN[why]
    weights = toys.load(model).model.diffusion_model.state_dict()
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    file = folders["checkpoints"] / "m.safetensors"
    assert model_info_of(write(file, header_of(shapes))) is not None, "without the change"
    header = header_of(shapes)
    change(header)
    assert ask(PAB, write(file, header).name) == ask(PAB)
    assert not caplog.records, "what the host says of models that nobody loads"


def test_another_host_is_as_if_there_were_no_file(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _stored("flux_file", folders["checkpoints"] / "m.safetensors")
    monkeypatch.delattr(model_file.model_detection, "model_config_from_unet")
    assert ask(DEEP, file.name) == ask(DEEP)
    monkeypatch.delitem(folder_paths.folder_names_and_paths, "checkpoints")
    assert ask(DEEP, file.name) == ask(DEEP)
