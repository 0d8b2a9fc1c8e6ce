"""Other people's nodes and unusual prompts, as a graph would combine them with ours."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import comfy.cldm.cldm
import comfy.context_windows as windows
import comfy.controlnet
import comfy.ops
import torch
import toys
from comfy.ldm.modules.attention import optimized_attention

Conds = tuple[list, list]


@dataclass(frozen=True)
class Companion:
    """A patch on the model, a change of the conditioning, or options of the run.

    Args:
        models: toys that it fits.
    """

    name: str
    models: tuple[str, ...]
    patch: Callable[[Any], Any] = lambda model: model
    change: Callable[[Conds], Conds] = lambda conds: conds
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def node(module: str, name: str, **inputs: Any) -> Callable[[Any], Any]:
    """A node of ComfyUI's own, applied to a model."""

    def apply(model: Any) -> Any:
        node = getattr(importlib.import_module(f"comfy_extras.{module}"), name)
        if hasattr(node, "define_schema"):
            return node.execute(model=model, **inputs).result[0]
        return getattr(node(), node.FUNCTION)(model=model, **inputs)[0]

    return apply


def _ip_adapter(model: Any) -> Any:
    """What IP-Adapter packs do: take over attn2 of some blocks and add a second attention."""

    def attend(q: Any, k: Any, v: Any, options: dict[str, Any]) -> torch.Tensor:
        heads = options["n_heads"]
        extra = optimized_attention(q, k.flip(1), v.flip(1), heads)
        return optimized_attention(q, k, v, heads) + 0.5 * extra

    clone = model.clone()
    clone.set_model_attn2_replace(attend, "input", 1)
    clone.set_model_attn2_replace(attend, "middle", 0, 0)
    clone.set_model_attn2_replace(attend, "output", 6)
    return clone


def _input_block(model: Any) -> Any:
    """Kohya-deep-shrink-like: scales the activations of chosen input blocks."""

    def scale(h: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        return h * 0.9 if options["block"][1] in (0, 2, 5) else h

    clone = model.clone()
    clone.set_model_input_block_patch(scale)
    clone.set_model_input_block_patch_after_skip(scale)
    return clone


def control_net(conds: Conds) -> Conds:
    network = comfy.cldm.cldm.ControlNet(
        **{**toys.sd15_config().unet_config, "hint_channels": 3},
        dtype=torch.float32,
        device=toys.CPU,
        operations=comfy.ops.disable_weight_init,
    )
    toys.fill(network)
    control = comfy.controlnet.ControlNet(network.eval(), load_device=toys.CPU)
    control.set_cond_hint(torch.rand(1, 128, 128, 3).movedim(-1, 1), 0.7)
    return tuple([[text, {**extra, "control": control, "control_apply_to_uncond": False}]
                  for text, extra in cond] for cond in conds)  # type: ignore[return-value]  # fmt: skip


def _area(conds: Conds) -> Conds:
    positive, negative = conds
    corner = [[positive[0][0] * 0.5, {**positive[0][1], "area": (16, 8, 0, 0), "strength": 1.0}]]
    return [*corner, *positive], negative


def two_positives(conds: Conds) -> Conds:
    positive, negative = conds
    return [*positive, [positive[0][0] * 0.5, dict(positive[0][1])]], negative


def _context_windows(model: Any) -> Any:
    clone = model.clone()
    clone.model_options["context_handler"] = windows.IndexListContextHandler(
        context_schedule=windows.get_matching_context_schedule(
            windows.ContextSchedules.STATIC_STANDARD
        ),
        fuse_method=windows.get_matching_fuse_method(windows.ContextFuseMethods.PYRAMID),
        context_length=4,
        context_overlap=2,
        context_stride=1,
        closed_loop=False,
        dim=2,
    )
    windows.create_prepare_sampling_wrapper(clone)
    return clone


UNETS = ("sd15",)
EVERY = ("sd15", "wan")
LONG_CLIP = torch.zeros(1, 16, 8, 8, 8)
COMPANIONS = [
    Companion("cfg 1", EVERY, options={"cfg": 1.0}),
    Companion("batch 2", EVERY, options={"batch": 2}),
    Companion("two positive prompts", EVERY, change=two_positives),
    Companion("area prompt", UNETS, change=_area),
    Companion("ControlNet", UNETS, change=control_net),
    Companion("FreeU", UNETS, node("nodes_freelunch", "FreeU", b1=1.1, b2=1.2, s1=0.9, s2=0.2)),
    Companion("IP-Adapter", UNETS, _ip_adapter),
    Companion("input block patches", UNETS, _input_block),
    Companion(
        "ControlNet, FreeU, IP-Adapter and input patches",
        UNETS,
        lambda model: _input_block(_ip_adapter(COMPANIONS[5].patch(model))),
        control_net,
    ),
    Companion(
        "perturbed attention",
        UNETS,
        node("nodes_pag", "PerturbedAttentionGuidance", scale=3.0),
    ),
    Companion("context windows", ("wan",), _context_windows, options={"latent": LONG_CLIP}),
    Companion(
        "skip-layer guidance",
        ("wan",),
        node(
            "nodes_slg", "SkipLayerGuidanceDiT", double_layers="1", single_layers="1", scale=3.0,
            start_percent=0.0, end_percent=1.0, rescaling_scale=0.0,
        ),
    ),
]  # fmt: skip
