"""Recipes: the nodes of settings and caches may stand in any order."""

from __future__ import annotations

import gc
import weakref
from itertools import permutations
from typing import Any

import pytest
import shipped
import torch
import toys
from demonstration.prompts import Prompt, to_prompt
from stepcache import torch_settings
from stepcache.cache_core.host import last_report
from stepcache.nodes.extension import with_strips
from workflow_recipes import RECIPES

COMPILE = "StepCacheRegionalCompile"
FUSED = ("StepCacheFusedProjections", {})
"""In place of Regional Compile, which refuses it; Flux was made with fused ones, and does too."""
TOYS = {"sdxl_stack": "sdxl", "flux_stack": "flux", "wan_stack": "wan"}
"""The tiny model of each recipe."""
STEPS = 6
MOST = 12
"""Orders that are tried: of four nodes and more so many, evenly chosen."""


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the host says about all nodes."""
    with shipped.all_nodes(tmp_path_factory.mktemp("host") / "models") as found:
        yield found


def nodes_of(prompt: Prompt) -> list[tuple[str, dict[str, Any]]]:
    """The recipe's nodes between loader and sampler, and their inputs but for the model."""
    found: list[tuple[str, dict[str, Any]]] = []
    for node in prompt.values():
        kind, inputs = node["class_type"], dict(node["inputs"])
        if kind.startswith("StepCache") and kind != "StepCacheReport":
            inputs.pop("model")
            found.append((kind, inputs))
    return found


def patched(model: Any, ordered: Any) -> Any:
    """A model behind the nodes; what is compiled is what PyTorch traces, as it is."""
    import nodes

    for kind, inputs in ordered:
        if kind == COMPILE:
            model = torch_settings.apply(
                model, torch_settings.RegionalCompile(**inputs, backend="eager")
            )
        else:
            model = nodes.NODE_CLASS_MAPPINGS[kind].execute(model=model, **inputs).result[0]
    return model


def told(model: Any) -> tuple[list[str], dict[str, Any]]:
    """What settings and caches say of the last run, but for seconds and the order of settings."""
    report = last_report(model).to_dict()
    numbers = {name: report[name] for name in ("kinds", "computed", "reused", "peak_bytes")}
    return sorted(torch_settings.told_by(model)), numbers


def some(orders: list[Any]) -> list[Any]:
    """The first and the last of them, and evenly many in between."""
    if len(orders) <= MOST:
        return orders
    return [orders[round(n * (len(orders) - 1) / (MOST - 1))] for n in range(MOST)]


@pytest.mark.parametrize(
    ("name", "with_fused"),
    [(name, with_fused) for name in RECIPES for with_fused in (False, True)
     if not (with_fused and name == "flux_stack")],
)  # fmt: skip
def test_any_order_draws_the_same_picture(
    name: str, with_fused: bool, definitions: dict[str, Any]
) -> None:
    shipped.skip_if_older(name)
    toy = TOYS[name]
    parts = nodes_of(to_prompt(shipped.read(name), definitions))
    assert len(parts) >= 4
    if with_fused:
        parts = [FUSED if part[0] == COMPILE else part for part in parts]
    cfg = 1.0 if toy == "flux" else 3.0

    def run(ordered: Any) -> tuple[torch.Tensor, Any]:
        model = patched(toys.load(toy), ordered)
        picture = toys.sample(model, toy, steps=STEPS, cfg=cfg)
        return picture, told(model)

    # In the first one blocks are compiled.
    run(parts)
    picture, (lines, numbers) = run(parts)
    assert all("R" in numbers["kinds"][kind]["strip"] for kind in RECIPES[name].kinds)
    for setting in torch_settings.settings_of(patched(toys.load(toy), parts)):
        assert any(line.startswith(setting.name) for line in lines), setting.name
    for ordered in some(list(permutations(parts))):
        other, said = run(ordered)
        assert torch.equal(other, picture), [kind for kind, _ in ordered]
        assert said == (lines, numbers), [kind for kind, _ in ordered]


@pytest.mark.parametrize("name", RECIPES)
def test_a_model_that_nobody_holds_goes_at_once(name: str, definitions: dict[str, Any]) -> None:
    """Not with the next collection of garbage: the host makes one before every run as long as it
    knows a model whose patcher was lost so."""
    shipped.skip_if_older(name)
    parts = nodes_of(to_prompt(shipped.read(name), definitions))
    gc.collect()
    gc.disable()
    try:
        model = patched(toys.load(TOYS[name]), parts)
        toys.sample(model, TOYS[name], steps=STEPS)
        gone = weakref.ref(model)
        del model
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("name", RECIPES)
def test_each_part_is_seen_in_what_is_told(name: str, definitions: dict[str, Any]) -> None:
    """Otherwise equal orders would prove nothing: without any one part something else is told."""
    shipped.skip_if_older(name)
    toy = TOYS[name]
    parts = nodes_of(to_prompt(shipped.read(name), definitions))
    settings = [each for each in parts if each[0] not in with_strips()]
    assert len(settings) >= 2

    def said(ordered: Any) -> list[str]:
        model = patched(toys.load(toy), ordered)
        toys.sample(model, toy, steps=2)
        return sorted(torch_settings.told_by(model))

    whole = said(settings)
    for left_out in settings:
        assert said([each for each in settings if each is not left_out]) != whole, left_out
