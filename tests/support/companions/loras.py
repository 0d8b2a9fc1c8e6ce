"""LoRA: merged into the weights, beside them, and on a schedule by hooks."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.utils
import folder_paths
import torch
import toys
from comfy_extras import nodes_hooks

import nodes

from .companion import EVERY, Companion, Conds

RANK = 2
SCHEDULE = ("FasterCache guidance", "FasterCache attention", "TGate", "DeepCache")


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """A folder of LoRAs that the host knows, gone when the tests end."""
    folder = tempfile.TemporaryDirectory(prefix="loras")
    folder_paths.add_model_folder_path("loras", folder.name)
    return folder


@cache
def _lora_of(name: str) -> str:
    """A file with low-rank changes to every linear layer of a toy's blocks; its name."""
    path = Path(_folder().name, f"{name}.safetensors")
    generator = torch.Generator().manual_seed(8)
    weights: dict[str, torch.Tensor] = {}
    for place, module in toys.load(name).model.diffusion_model.named_modules():
        weight = getattr(module, "weight", None)
        if "block" in place and isinstance(module, torch.nn.Linear) and weight is not None:
            rows, columns = weight.shape
            down = torch.randn(RANK, columns, generator=generator) / columns**0.5
            weights[f"diffusion_model.{place}.lora_A.weight"] = down
            weights[f"diffusion_model.{place}.lora_B.weight"] = torch.randn(
                rows, RANK, generator=generator
            )
    comfy.utils.save_torch_file(weights, str(path))
    return path.name


def _name_of(model: Any) -> str:
    return next(name for name in EVERY if toys.load(name).model is model.model)


def _merged(model: Any) -> Any:
    loader = nodes.LoraLoaderModelOnly()
    return loader.load_lora_model_only(model, _lora_of(_name_of(model)), 0.3)[0]


def _bypass(model: Any) -> Any:
    """LoRA beside the weights: the host takes over the forwards of single linear layers."""
    weights = comfy.utils.load_torch_file(str(Path(_folder().name, _lora_of(_name_of(model)))))
    return comfy.sd.load_bypass_lora_for_models(model, None, weights, 0.3, 0.0)[0]


def _hooks(name: str, *keyframes: tuple[float, float]) -> Any:
    """A LoRA for some prompts only, with strengths from points of the run on."""
    (hooks,) = nodes_hooks.CreateHookLoraModelOnly().create_hook_model_only(_lora_of(name), 0.4)
    group: Any = None  # the first one has none before it
    for strength, start in keyframes:
        (group,) = nodes_hooks.CreateHookKeyframe().create_hook_keyframe(strength, start, group)
    return nodes_hooks.SetHookKeyframes().set_hook_keyframes(hooks, group)[0]


def _on_both(*keyframes: tuple[float, float]) -> Any:
    def change(conds: Conds, name: str) -> Conds:
        return nodes_hooks.PairConditioningSetProperties().set_properties(
            *conds, 1.0, "default", hooks=_hooks(name, *keyframes)
        )

    return change


def _on_positive(*keyframes: tuple[float, float]) -> Any:
    def change(conds: Conds, name: str) -> Conds:
        (positive,) = nodes_hooks.ConditioningSetProperties().set_properties(
            conds[0], 1.0, "default", hooks=_hooks(name, *keyframes)
        )
        return positive, conds[1]

    return change


LORAS = [
    Companion("LoRA", EVERY, ("FasterCache", "DeepCache"), _merged),
    Companion("bypass LoRA", EVERY, ("SmoothCache", "PAB blocks", "DeepCache"), _bypass),
    Companion("LoRA hook", EVERY, ("FasterCache", "TGate"), change=_on_both()),
    Companion("LoRA hook on one prompt", EVERY, ("FasterCache", "TGate"), change=_on_positive()),
    Companion(
        "LoRA hook with a schedule", EVERY, SCHEDULE, change=_on_both((1.0, 0.0), (0.0, 0.4)),
        steps=6, has_forced=True,
    ),
    Companion(
        "LoRA hook with a schedule on one prompt", EVERY, ("FasterCache guidance", "TGate"),
        change=_on_positive((1.0, 0.0), (0.2, 0.4), (1.0, 0.7)), steps=6, has_forced=True,
    ),
]  # fmt: skip
