"""The published implementations, each switched on for one model as its documentation says."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import tgate
import torch
from DeepCache import DeepCacheSDHelper
from diffusers import FasterCacheConfig, PyramidAttentionBroadcastConfig
from diffusers.hooks import apply_faster_cache, apply_pyramid_attention_broadcast
from stepcache.cache_core.approximators import Reuse, Weight
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.plan import Plan
from tiny import Predict
from torch import nn

with contextlib.redirect_stdout(io.StringIO()):  # it prints what its wheel lacks
    from SmoothCache import DiffuserCacheHelper, SmoothCacheHelper

NAMES = {name: f"{name} {version(name)}" for name in ("diffusers", "DeepCache", "dit-smoothcache")}
TGATE_2, TGATE_1 = f"tgate {version('tgate')}", "tgate 0.1.2"


PAB_RANGES, PAB_WINDOWS = (
    [f"{kind}_attention_{what}_skip_range" for kind in ("spatial", "temporal", "cross")]
    for what in ("block", "timestep")
)
NOT_TEMPORAL = (r"(^|\.)transformer_blocks", r"^blocks")
"""Identifiers that spatial layers alone have; diffusers' own also find the temporal ones."""


class Now:
    """The timestep that a hook asks for."""

    t: float = 1000.0

    def __call__(self) -> float:
        return self.t


def pab(model: nn.Module, **config: Any) -> Predict:
    """diffusers' Pyramid Attention Broadcast hooks."""
    now = Now()
    apply_pyramid_attention_broadcast(
        model, PyramidAttentionBroadcastConfig(current_timestep_callback=now, **config)
    )
    return _telling(model, now)


def pab_on_images(
    model: nn.Module, self_range: int, cross_range: int, window: tuple[float, float]
) -> Predict:
    """The same hooks with one window, on a model without attention over time."""
    return pab(
        model,
        spatial_attention_block_skip_range=self_range,
        cross_attention_block_skip_range=cross_range,
        spatial_attention_timestep_skip_range=window,
        cross_attention_timestep_skip_range=window,
    )


def fastercache(
    model: nn.Module, weight: Weight, timesteps: Sequence[int], **config: Any
) -> Predict:
    """diffusers' FasterCache hooks; the weight is ours, which knows the step."""
    now = Now()
    line = Timeline.even(len(timesteps))

    def weigh(module: nn.Module) -> float:
        step = list(timesteps).index(now.t)
        return weight.at(Reuse(line.clock(step), Plan(())))

    apply_faster_cache(
        model,
        FasterCacheConfig(current_timestep_callback=now, attention_weight_callback=weigh, **config),
    )
    return _telling(model, now)


def _telling(model: nn.Module, now: Now) -> Predict:
    def predict(t: float, *args: Any, **inputs: Any) -> torch.Tensor:
        now.t = t
        return model(*args, **inputs, return_dict=False)[0]

    return predict


def deepcache(
    model: nn.Module, timesteps: Sequence[int], interval: int, branch: int
) -> tuple[Predict, DeepCacheSDHelper]:
    """DeepCache's helper, which looks timesteps up in the scheduler's list."""
    scheduler = SimpleNamespace(timesteps=torch.tensor(timesteps))
    helper = DeepCacheSDHelper(SimpleNamespace(unet=model, scheduler=scheduler))
    helper.set_params(cache_interval=interval, cache_branch_id=branch)
    helper.enable()

    def predict(t: float, sample: torch.Tensor, **inputs: Any) -> torch.Tensor:
        # The helper reads the timestep from the second positional argument.
        return model(sample, inputs.pop("timestep"), **inputs, return_dict=False)[0]

    return predict, helper


def smoothcache(
    model: nn.Module,
    schedule: Mapping[str, str],
    block: type[nn.Module] | None = None,
    components: Sequence[str] = (),
) -> Predict:
    """SmoothCache's helper, without its line of print per layer and step.

    Args:
        schedule: a row of flags by component, or by component and block.
        block: class of the blocks whose `components` are wrapped; None for the helper's diffusers
            form, which wraps ``attn1`` of a BasicTransformerBlock.
    """
    rows = {name: [int(flag) for flag in row] for name, row in schedule.items()}
    if block is None:
        DiffuserCacheHelper(model, rows).enable()
    else:
        SmoothCacheHelper(model, block, list(components), rows).enable()

    def predict(t: float, **inputs: Any) -> torch.Tensor:
        with contextlib.redirect_stdout(io.StringIO()):
            return model(**inputs, return_dict=False)[0]

    return predict


def tgate_1() -> ModuleType:
    """T-GATE's first version, from the folder where the set-up put it beside the second."""
    if TGATE_1 not in sys.modules:
        beside = (Path(sys.prefix), Path(tgate.__file__).parents[1])
        folder = next(p for base in beside if (p := base / "tgate-0.1.2" / "tgate").is_dir())
        spec = importlib.util.spec_from_file_location(
            TGATE_1, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None and spec.loader is not None
        sys.modules[TGATE_1] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[TGATE_1]
