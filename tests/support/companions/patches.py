"""Patches inside the network: FreeU, IP-Adapter and its kind, ControlNet."""

from __future__ import annotations

from typing import Any

import comfy.cldm.cldm
import comfy.controlnet
import comfy.ops
import torch
import toys
from comfy.ldm.modules.attention import optimized_attention
from host import applied

from .companion import UNETS, Companion, Conds

DANGEROUS = ("DeepCache", "FasterCache", "TGate", "SmoothCache", "PAB blocks")

free_u = applied("nodes_freelunch", "FreeU", b1=1.1, b2=1.2, s1=0.9, s2=0.2)


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


def control_net(conds: Conds, name: str = "sd15") -> Conds:
    network = comfy.cldm.cldm.ControlNet(
        **{**toys.sd15_config().unet_config, "hint_channels": 3},
        dtype=torch.float32,
        device=toys.CPU,
        operations=comfy.ops.disable_weight_init,
    )
    toys.fill(network)
    control = comfy.controlnet.ControlNet(network.eval(), load_device=toys.CPU)
    control.set_cond_hint(torch.rand(1, 96, 96, 3).movedim(-1, 1), 0.7)
    positive, negative = (
        [
            [text, {**extra, "control": control, "control_apply_to_uncond": False}]
            for text, extra in cond
        ]
        for cond in conds
    )
    return positive, negative


PATCHES = [
    # FreeU scales backbone and skips where a UNet joins them; no DiT has that.
    Companion("FreeU", UNETS, ("DeepCache", "FasterCache"), free_u),
    Companion(
        "FreeU 2", UNETS, ("DeepCache", "SmoothCache"),
        applied("nodes_freelunch", "FreeU_V2", b1=1.3, b2=1.4, s1=0.9, s2=0.2),
    ),
    Companion("ControlNet", UNETS, ("DeepCache", "FasterCache"), change=control_net),
    Companion("IP-Adapter", UNETS, DANGEROUS, _ip_adapter),
    Companion("input block patches", UNETS, ("DeepCache", "DeepCache 2"), _input_block),
    Companion(
        "ControlNet, FreeU, IP-Adapter and input patches", UNETS,
        ("DeepCache", "DeepCache 2", "DeepCache 11", "FasterCache", "PAB blocks"),
        lambda model: _input_block(_ip_adapter(free_u(model))), control_net,
    ),
]  # fmt: skip
