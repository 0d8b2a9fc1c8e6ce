"""A step that reuses does exactly that much less work as its sites would have done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import cases
import observe
import pytest
import toys
import zoo
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.host import attach
from stepcache.cache_core.host.families import InlinedLayer, SdpaOnly
from stepcache.cache_core.host.installation import KEY
from stepcache.cache_core.host.intercept.attention import OVERRIDE
from stepcache.cache_core.methods import PAB
from stepcache.cache_core.sites import SiteKind

ATTENTION = PAB(2, 2, 2, cases.WHOLE_RUN)
BLOCKS = PAB(block=2, window=cases.WHOLE_RUN)
SETTINGS = [
    *((ATTENTION, name) for name in zoo.TOYS if cases.fits("PAB", name)),
    *((BLOCKS, name) for name, toy in zoo.TOYS.items() if SiteKind.BLOCK in toy.kinds),
    *((method, name) for name in ("sd15", "svd", "wan") for method in (ATTENTION, BLOCKS)),
]


@pytest.mark.parametrize(
    ("method", "name"),
    SETTINGS,
    ids=lambda value: value if isinstance(value, str) else "blocks" if value.block > 1 else "PAB",
)
def test_a_reusing_step_leaves_out_what_its_sites_cost(method: PAB, name: str) -> None:
    patched = attach(toys.load(name), method)

    def run(model: Any) -> None:
        toys.sample(model, name, steps=2)

    # The second step: it reuses, and MiniMax does not spend the same in every step.
    _, computing = observe.flops_per_evaluation(toys.load(name), run)
    _, reusing = observe.flops_per_evaluation(patched, run)
    plain, calls = _spent(patched, name)
    run(plain)
    sites = sum(calls[len(calls) // 2 :])
    assert sites > 0
    assert computing - reusing == sites


def _spent(patched: Any, name: str) -> tuple[Any, list[int]]:
    """A model without us that lists, per call, the FLOPs where the patched one's sites are."""
    installation = patched.model_options["transformer_options"][KEY]
    plain, calls = toys.load(name).clone(), []

    def count(executor: Any, *args: Any, **kwargs: Any) -> Any:
        network = executor.class_obj.diffusion_model
        spent: list[int] = []
        with _counting(network, installation.access, spent):
            answer = executor(*args, **kwargs)
        calls.append(sum(spent))
        return answer

    plain.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "count", count)
    return plain, calls


@contextmanager
def _counting(network: Any, access: Any, spent: list[int]) -> Any:
    counted: list[Any] = []
    for site, way in access.items():
        block = network.get_submodule(site.path)
        if isinstance(way, SdpaOnly):
            _count_attention_in(block, spent, counted)
        elif isinstance(way, InlinedLayer):
            for path in (*way.inputs, *way.outputs):
                if _has(block, path):
                    _count(block.get_submodule(path), spent, counted)
            if way.has_attention:
                _count_attention_in(block, spent, counted)
        else:
            _count(block, spent, counted)
    try:
        yield
    finally:
        for module in counted:
            module.__dict__.pop("forward", None)


def _count(module: Any, spent: list[int], counted: list[Any]) -> None:
    module.forward = _adding(module.forward, spent)
    counted.append(module)


def _count_attention_in(block: Any, spent: list[int], counted: list[Any]) -> None:
    """Scaled dot-product attention, which no module of the block stands for."""
    compute = block.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        options = {
            **kwargs["transformer_options"],
            OVERRIDE: lambda attend, *a, **k: _adding(attend, spent)(*a, **k),
        }
        return compute(*args, **{**kwargs, "transformer_options": options})

    block.forward = forward
    counted.append(block)


def _adding(compute: Callable[..., Any], spent: list[int]) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        with observe.flop_counter() as counter:
            answer = compute(*args, **kwargs)
        spent.append(counter.get_total_flops())
        return answer

    return forward


def _has(block: Any, path: str) -> bool:
    for name in path.split("."):
        block = getattr(block, name, None)
    return block is not None
