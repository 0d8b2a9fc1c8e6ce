"""What IP-Adapter packs and ComfyUI's own nodes attach to attention and to blocks."""

from __future__ import annotations

from functools import partial
from typing import Any

import comfy.model_management
import host
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.ldm.wan.model_multitalk import MultiTalkGetAttnMapPatch
from host import applied
from runtime import EVERY, Conds, Setup, sample
from stepcache.cache_core.decisions import NOT_STORED, TOO_OLD
from stepcache.cache_core.host.intercept.layer_call import FOLLOWED

ATTENTION = ("PAB", "FasterCache", "SmoothCache")


def _extra(like: torch.Tensor, tokens: int = 3) -> torch.Tensor:
    """Tokens of an image prompt."""
    shape = (1, tokens, like.shape[-1])
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(6)).to(like)
    return noise.expand(like.shape[0], -1, -1)


def _attend(q: Any, k: Any, v: Any, options: dict[str, Any]) -> torch.Tensor:
    heads = options["n_heads"]
    image = _extra(k)
    return optimized_attention(q, k, v, heads) + 0.5 * optimized_attention(q, image, image, heads)


def _replaced(model: Any) -> Any:
    """IP-Adapter: a second attention, for a whole input block, one layer, and self-attention."""
    clone = model.clone()
    clone.set_model_attn2_replace(_attend, "input", 4)
    clone.set_model_attn2_replace(_attend, "input", 7)
    clone.set_model_attn2_replace(_attend, "middle", 0, 0)
    clone.set_model_attn1_replace(_attend, "output", 4)
    clone.set_model_attn1_replace(_attend, "output", 7, 0)
    return clone


def _svd_replaced(model: Any) -> Any:
    clone = model.clone()
    clone.set_model_attn2_replace(_attend, "input", 1)
    clone.set_model_attn1_replace(_attend, "output", 2, 0)
    return clone


def _queries(model: Any) -> Any:
    """Tokens beside the prompt, and keys that are not the queries' own."""

    def attn1(n: Any, context: Any, value: Any, options: dict[str, Any]) -> Any:
        return n, context * 0.9, value

    def attn2(n: Any, context: Any, value: Any, options: dict[str, Any]) -> Any:
        more = torch.cat((context, _extra(context)), 1)
        return n, more, more

    clone = model.clone()
    clone.set_model_attn1_patch(attn1)
    clone.set_model_attn2_patch(attn2)
    return clone


def _outputs(model: Any) -> Any:
    clone = model.clone()
    clone.set_model_attn1_output_patch(lambda n, options: n * 0.9)
    clone.set_model_attn2_output_patch(lambda n, options: n + 0.1)
    return clone


def _joint_queries(model: Any) -> Any:
    """Sharpened queries of joint attention."""
    host.skip_if_older("0.18.2", "a patch on the queries of joint attention")

    def patch(q: Any, k: Any, v: Any, **_: Any) -> dict[str, Any]:
        return {"q": q * 1.3}

    clone = model.clone()
    clone.set_model_attn1_patch(patch)
    return clone


def _joint_outputs(model: Any) -> Any:
    clone = model.clone()
    clone.set_model_attn1_output_patch(lambda attention, options: attention * 0.9)
    return clone


def _added_to_blocks(model: Any) -> Any:
    """IP-Adapter for transformers: adds to the picture's stream behind every block."""

    def behind(arguments: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        out = extra["original_block"](arguments)
        # Single blocks carry the prompt in the same stream.
        out["img"] = out["img"] + 0.1 * torch.tanh(out["img"]).roll(1, 1)
        return out

    clone = model.clone()
    for kind in ("double_block", "single_block"):
        for index in range(2):
            clone.set_model_patch_replace(behind, "dit", kind, index)
    return clone


def _wan_outputs(model: Any) -> Any:
    clone = model.clone()
    clone.set_model_attn1_patch(lambda a: a["x"] * 0.9)
    clone.set_model_attn2_patch(lambda a: a["x"] + 0.1)
    return clone


def _speakers(model: Any) -> Any:
    """InfiniteTalk with two speakers: self-attention tells which of them a token belongs to."""

    def hear(arguments: dict[str, Any]) -> Any:
        options = arguments["transformer_options"]
        share = options.pop("x_ref_attn_map", None)
        x = arguments["x"]
        return x if share is None else x + 0.1 * share[0].to(x)[None, :, None]

    masks = torch.zeros(2, 16)
    masks[0, :8] = masks[1, 8:] = 1.0
    clone = model.clone()
    clone.set_model_attn1_patch(MultiTalkGetAttnMapPatch(masks))
    clone.set_model_attn2_patch(hear)
    return clone


class Scaled(torch.nn.Module):
    """Stands for a layer that another pack puts in place of one of the model's."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.layer(*args, **kwargs) * 0.9


EXCHANGED = {
    "UNetModel": ("input_blocks.1.1.transformer_blocks.0.attn2",),
    "WanModel": ("blocks.0.self_attn", "blocks.1.ffn"),
    "Flux": ("double_blocks.0.img_mlp", "double_blocks.1.img_attn.proj"),
    "OpenAISignatureMMDITWrapper": ("joint_blocks.0.x_block.mlp",),
}


def _exchanged(model: Any) -> Any:
    """Modules exchanged when the model is loaded, and put back when it is not needed."""
    clone = model.clone()
    for path in EXCHANGED[type(model.model.diffusion_model).__name__]:
        layer = model.model.diffusion_model.get_submodule(path)
        clone.add_object_patch(f"diffusion_model.{path}", Scaled(layer))
    return clone


def _sample_and_unload(model: Any, name: str, conds: Conds) -> torch.Tensor:
    try:
        return sample(model, name, conds)
    finally:
        comfy.model_management.unload_all_models()


DEEP_SHRINK = applied(
    "nodes_model_downscale", "PatchModelAddDownscale", block_number=3, downscale_factor=2.0,
    start_percent=0.0, end_percent=0.5, downscale_after_skip=True, downscale_method="bicubic",
    upscale_method="bicubic",
)  # fmt: skip
HYPERTILE = applied(
    "nodes_hypertile", "HyperTile", tile_size=32, swap_size=2, max_depth=0, scale_depth=False
)
WATCHED = frozenset({FOLLOWED})
RESIZED = frozenset({NOT_STORED, TOO_OLD})
SETUPS = [
    Setup("replaced attention", ("sd15",), patch=_replaced, methods=EVERY),
    Setup("replaced attention", ("sdxl",), patch=_replaced, methods=("PAB",)),
    # One entry stands for spatial and temporal attention.
    Setup("replaced attention", ("svd",), patch=_svd_replaced, methods=("PAB", "TGate")),
    Setup("attention patches", ("sd15",), patch=_queries, methods=("PAB", "TGate")),
    Setup("attention output patches", ("sd15",), patch=_outputs, methods=("PAB", "TGate")),
    # These two draw anew in every evaluation.
    Setup(
        "HyperTile", ("sd15",), patch=HYPERTILE, methods=("PAB", "FasterCache", "DeepCache"),
        forced=WATCHED, asks_alike=False,
    ),
    Setup(
        "token merging", ("sd15",), patch=applied("nodes_tomesd", "TomePatchModel", ratio=0.3),
        methods=("PAB", "SmoothCache"), forced=WATCHED, asks_alike=False,
    ),
    Setup(
        "deep shrink", ("sd15",), patch=DEEP_SHRINK, run=partial(sample, size=24),
        methods=("PAB", "DeepCache"), forced=RESIZED, asks_alike=False,
    ),
    Setup("attention patches", ("flux", "qwen"), patch=_joint_queries, methods=ATTENTION),
    Setup("attention output patches", ("flux",), patch=_joint_outputs, methods=ATTENTION),
    Setup(
        "attention patches", ("wan",), patch=_wan_outputs, forced=WATCHED,
        methods=("PAB", "TGate", "PAB blocks"),
    ),
    # InfiniteTalk samples one row at a time, without guidance.
    Setup(
        "two speakers", ("wan",), patch=_speakers, run=partial(sample, cfg=1.0),
        methods=("PAB", "SmoothCache", "PAB blocks"), forced=WATCHED,
    ),
    Setup(
        "patched blocks", ("flux", "sd3", "qwen", "wan"), patch=_added_to_blocks,
        methods=("PAB", "PAB blocks"), forced=WATCHED,
    ),
    # The reference's tokens take part in the first step only.
    Setup(
        "reference cache", ("flux2_edit",), patch=applied("nodes_flux", "FluxKVCache"),
        methods=("PAB", "FasterCache attention", "PAB blocks"), forced=RESIZED, asks_alike=False,
    ),
    Setup("exchanged layers", ("sd15", "wan", "flux", "sd3"), patch=_exchanged,
          run=_sample_and_unload, methods=("PAB",)),
]  # fmt: skip
