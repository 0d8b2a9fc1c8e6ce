"""Repeated blocks as compiled code: the picture, the model, sizes, weights, and other nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import host
import observe
import pytest
import runtime_controls
import runtime_patches
import runtime_weights
import torch
import toys
from compiled import compiling, forgotten, is_near, sample, tried  # noqa: F401
from stepcache import torch_settings
from stepcache.cache_core.calibration import Study
from stepcache.cache_core.host import attach
from stepcache.cache_core.methods import Calibrate
from stepcache.torch_settings import AttentionBackend, Precision
from torch.fx.experimental import _config as shapes

pytestmark = pytest.mark.usefixtures("forgotten")
FUSED = 2e-3
"""The same where operations are fused, and add up in another order."""


@pytest.mark.parametrize(
    ("name", "most"),
    [("wan", 1), ("flux", 2), ("sd3", 2), ("qwen", 2), ("cosmos", 1), ("sd15", 11)],
)
def test_the_picture_stays_and_blocks_share_what_is_compiled(name: str, most: int) -> None:
    """Two where there are two classes or the last block lacks a part; more where widths differ."""
    model = toys.load(name)
    plain, marks = sample(model, name), observe.fingerprint(model)
    patched = compiling(model)
    before = tried()
    picture = sample(patched, name)
    assert is_near(picture, plain)
    assert 0 < tried() - before <= most
    assert not any(
        "broken in two" in line or "as it is" in line for line in torch_settings.told_by(patched)
    )
    before = tried()
    assert torch.equal(sample(patched, name), picture)
    assert tried() == before
    assert torch_settings.told_by(patched)[0].endswith("; nothing had to be compiled")
    assert torch.equal(sample(model, name), plain)
    assert observe.fingerprint(model) == marks


def test_by_inductor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = toys.load("wan")
    plain = sample(model, "wan")
    with torch._inductor.config.patch(compile_threads=1):
        patched = compiling(model, "inductor", "on")
        assert is_near(sample(patched, "wan"), plain, FUSED)
        assert is_near(sample(patched, "wan", size=12), sample(model, "wan", size=12), FUSED)
    assert torch_settings.told_by(patched)[0].endswith(
        "3 WanAttentionBlock; nothing had to be compiled"
    )
    assert any(tmp_path.rglob("*.so")), "code was generated"


@pytest.mark.parametrize(
    ("name", "dynamic"), [("wan", "on"), ("wan", "auto"), ("wan", "off"), ("shapes_unet", "on")]
)
def test_another_resolution(name: str, dynamic: str) -> None:
    model = toys.load(name)
    patched = compiling(model, dynamic=dynamic)
    compiled: list[int] = []
    for size in (8, 12, 16):
        before = tried()
        assert is_near(sample(patched, name, size=size), sample(model, name, size=size))
        compiled.append(tried() - before)
    first, second, third = compiled
    assert first > 0
    assert (second > 0, third > 0) == {
        "on": (False, False), "auto": (True, False), "off": (True, True)
    }[dynamic]  # fmt: skip
    assert shapes.use_duck_shape is True
    assert torch._dynamo.config.recompile_limit == 8


def test_a_lora_is_in_it_and_is_compiled_at_most_once() -> None:
    model = toys.load("wan")
    patched = compiling(model)
    sample(patched, "wan")
    changed = runtime_weights.with_lora(model)
    expected = sample(changed, "wan")
    assert not is_near(expected, sample(model, "wan"), 0.01)
    for each in (compiling(changed), runtime_weights.with_lora(patched)):
        before = tried()
        assert is_near(sample(each, "wan"), expected)
        assert tried() - before <= 1
    before = tried()
    sample(patched, "wan")
    assert tried() == before


def test_a_resolution_that_changes_in_mid_run() -> None:
    shrink = host.applied(
        "nodes_model_downscale", "PatchModelAddDownscale", block_number=3, downscale_factor=2.0,
        start_percent=0.0, end_percent=0.5, downscale_after_skip=True,
        downscale_method="bicubic", upscale_method="bicubic",
    )  # fmt: skip
    model = shrink(toys.load("sd15"))
    assert is_near(sample(compiling(model), "sd15"), sample(model, "sd15"))


@pytest.mark.parametrize("is_first", [True, False])
def test_attention_of_another_setting_is_called_from_compiled_blocks(is_first: bool) -> None:
    model, setting = toys.load("wan"), AttentionBackend("math")
    alone = torch_settings.apply(model, setting)
    expected = sample(alone, "wan")
    both = compiling(alone) if is_first else torch_settings.apply(compiling(model), setting)
    assert is_near(sample(both, "wan"), expected)
    before = tried()
    sample(both, "wan")
    assert tried() == before, "another run has another function"
    told = torch_settings.told_by(both)
    assert set(torch_settings.told_by(alone)) <= set(told), "nothing passes it by"


def test_the_place_of_a_graph_break_is_told() -> None:
    patched = torch_settings.apply(compiling(toys.load("wan")), AttentionBackend("math"))
    sample(patched, "wan")
    (line,) = (line for line in torch_settings.told_by(patched) if "broken in two" in line)
    assert "WanAttentionBlock: broken in two at attention.py:" in line


SETUPS = {
    "IP-Adapter": ("sd15", runtime_patches._replaced),
    "around blocks": ("flux", runtime_patches._added_to_blocks),
}


@pytest.mark.parametrize("setup", SETUPS)
def test_patches_of_other_nodes_are_called(setup: str) -> None:
    name, patch = SETUPS[setup]
    model = patch(toys.load(name))
    expected = sample(model, name)
    patched = compiling(model)
    assert is_near(sample(patched, name), expected)
    before = tried()
    sample(patched, name)
    assert tried() == before
    is_inside = any(
        "patches are called in them" in line for line in torch_settings.told_by(patched)
    )
    assert is_inside == (setup != "around blocks")


def test_a_controlnet_is_added_between_blocks() -> None:
    model = toys.load("sd15")
    conds = runtime_controls.apply_control(toys.conditioning("sd15"), "sd15", "ControlNet")
    expected = sample(model, "sd15", conds=conds)
    assert not is_near(expected, sample(model, "sd15"), 0.01)
    assert is_near(sample(compiling(model), "sd15", conds=conds), expected)


def test_products_are_counted_before_blocks_are_compiled() -> None:
    model = toys.load("wan")
    patched = torch_settings.apply(compiling(model), Precision())
    assert is_near(sample(patched, "wan"), sample(model, "wan"))
    told = torch_settings.told_by(patched)
    assert any("of the first evaluation's products 100 % float32" in line for line in told)
    assert any("ran as it is 3 times: something listened" in line for line in told)


@pytest.mark.parametrize("make", [runtime_weights.fp8, runtime_weights.quantised])
def test_weights_that_are_converted_when_used(make: Any) -> None:
    model = make("wan_file")
    expected = sample(model, "wan_file")
    patched = compiling(model)
    assert is_near(sample(patched, "wan_file"), expected)
    assert "2 WanAttentionBlock; compiled" in torch_settings.told_by(patched)[0]


def test_calibrating_and_what_another_node_answers_for_run_as_they_are() -> None:
    model = toys.load("wan")
    plain = sample(model, "wan")
    measured = compiling(attach(model, Calibrate(Study(lambda _: None))))
    sample(measured, "wan")
    assert torch_settings.told_by(measured) == (
        "Regional Compile: nothing was compiled: what a layer costs is measured in this run",
    )
    layer, patched = model.model.diffusion_model.blocks[1].ffn, compiling(model)
    compute = layer.forward
    layer.forward = lambda *args, **kwargs: compute(*args, **kwargs)
    try:
        assert is_near(sample(patched, "wan"), plain)
    finally:
        del layer.forward
    assert "WanAttentionBlock: ran as it is 3 times: another node answers" in "".join(
        torch_settings.told_by(patched)
    )
