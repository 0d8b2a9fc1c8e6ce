"""ControlNets, T2I adapters and control patches of the host's real classes, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import comfy.cldm.cldm
import comfy.cldm.mmdit
import comfy.controlnet
import comfy.ldm.flux.controlnet
import comfy.ldm.lumina.controlnet
import comfy.ldm.qwen_image.controlnet
import comfy.model_patcher
import comfy.ops
import comfy.t2i_adapter.adapter
import host
import torch
import toys
from comfy_extras import nodes_model_patch
from runtime import EVERY, Conds, Setup
from zoo import double_stream, joint

import nodes

JOINT = ("PAB", "FasterCache", "PAB blocks")
OPTIONS: dict[str, Any] = {
    "dtype": torch.float32, "device": toys.CPU, "operations": comfy.ops.disable_weight_init,
}  # fmt: skip


def _network(make: Callable[..., Any], **config: Any) -> Any:
    network = make(**{**config, **OPTIONS})
    toys.fill(network)
    return network.eval()


def _picture(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(4))


def _unet_config() -> dict[str, Any]:
    config = {**toys.sd15_config().unet_config, "hint_channels": 3}
    config.pop("out_channels")
    return config


def _control_lora() -> Any:
    """A ControlNet that takes the model's own weights and adds low-rank changes to them."""
    own = _network(comfy.cldm.cldm.ControlNet, **_unet_config()).state_dict()
    fresh = ("zero_convs.", "input_hint_block.", "middle_block_out.")
    weights = {name: value for name, value in own.items() if name.startswith(fresh)}
    layer = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
    weights[f"{layer}.up"], weights[f"{layer}.down"] = _picture(32, 2), _picture(2, 32)
    return comfy.controlnet.ControlLora({**weights, "lora_controlnet": torch.zeros(0)})


def _adapter() -> Any:
    network = comfy.t2i_adapter.adapter.Adapter_light([32, 32, 32, 64], nums_rb=1, cin=192)
    toys.fill(network)
    return comfy.controlnet.T2IAdapter(network.eval(), 3, 8, "nearest-exact", device=toys.CPU)


def _sd3() -> Any:
    config = double_stream.sd3_config().unet_config
    network = _network(
        comfy.cldm.mmdit.ControlNet, num_blocks=1, control_latent_channels=16, **config
    )
    double_stream.positions(network)
    return network


def _flux() -> Any:
    config = double_stream.flux_config().unet_config
    kind = partial(comfy.ldm.flux.controlnet.ControlNetFlux, latent_input=True)
    return _network(kind, control_latent_channels=16, **config)


def _qwen() -> Any:
    config = joint.qwen_config().unet_config
    return _network(comfy.ldm.qwen_image.controlnet.QwenImageControlNetModel, **config)


def _qwen_fun() -> Any:
    return _network(
        comfy.ldm.qwen_image.controlnet.QwenImageFunControlNetModel, inner_dim=32,
        num_attention_heads=2, attention_head_dim=16, num_control_blocks=2,
        injection_layers=(0, 1),
    )  # fmt: skip


def _wrapped(network: Any, kind: Any = comfy.controlnet.ControlNet, **over: Any) -> Any:
    # The hint is a latent already, so no VAE takes part.
    return kind(network, compression_ratio=1, load_device=toys.CPU, **over)


CONTROLS: dict[str, Callable[[], Any]] = {
    "ControlNet": lambda: comfy.controlnet.ControlNet(
        _network(comfy.cldm.cldm.ControlNet, **_unet_config()), load_device=toys.CPU
    ),
    "Control LoRA": _control_lora,
    "T2I adapter": _adapter,
    "SD3": lambda: _wrapped(_sd3()),
    "Flux": lambda: _wrapped(_flux(), extra_conds=["y", "guidance"]),
    "Qwen": lambda: _wrapped(_qwen(), extra_conds=[]),
    "Qwen Fun": lambda: _wrapped(
        _qwen_fun(), comfy.controlnet.QwenFunControlNet, extra_conds=[]
    ),
}  # fmt: skip
HINTS = {"sd15": (1, 128, 128, 3), "qwen": (1, 1, 8, 8, 16)}
control_of = cache(lambda name: CONTROLS[name]())


def apply_control(conds: Conds, name: str, *controls: str, end: float = 1.0) -> Conds:
    """ComfyUI's Apply ControlNet, once per control."""
    hint = _picture(*HINTS.get(name, (1, 8, 8, 16)))
    for control in controls:
        conds = nodes.ControlNetApplyAdvanced().apply_controlnet(
            *conds, control_of(control), hint, 0.7, 0.0, end
        )
    return conds


class Encoder:
    """Stands in for a VAE: a picture becomes a latent of fixed noise."""

    def __init__(self, *latent: int) -> None:
        self._latent = _picture(*latent)

    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        return self._latent + picture.mean()

    def spacial_compression_encode(self) -> int:
        return 8

    def temporal_compression_decode(self) -> int:
        return 4


@cache
def _patch_of(make: Callable[[], Any]) -> Any:
    return comfy.model_patcher.ModelPatcher(make(), load_device=toys.CPU, offload_device=toys.CPU)


def _block_wise() -> Any:
    return _network(nodes_model_patch.QwenImageBlockWiseControlNet, num_layers=2, dim=32)


def _qwen_control(model: Any) -> Any:
    node = nodes_model_patch.QwenImageDiffsynthControlnet()
    vae = Encoder(1, 16, 1, 8, 8)
    return node.diffsynth_controlnet(
        model, _patch_of(_block_wise), vae, _picture(1, 64, 64, 3), 0.7
    )[0]


def _zimage_blocks() -> Any:
    return _network(
        comfy.ldm.lumina.controlnet.ZImage_Control, dim=256, n_heads=2, n_kv_heads=2,
        multiple_of=16, ffn_dim_multiplier=0.25, n_control_layers=30, additional_in_dim=17,
        refiner_control=True,
    )  # fmt: skip


def _zimage_control(model: Any) -> Any:
    """Z-Image Fun. One block per layer: with fewer it would not find the end of a tiny model."""
    node = nodes_model_patch.ZImageFunControlnet()
    vae = Encoder(1, 16, 8, 8)
    return node.diffsynth_controlnet(
        model, _patch_of(_zimage_blocks), vae, _picture(1, 64, 64, 3), 0.7
    )[0]


def _uni3c() -> Any:
    uni3c = host.module("comfy.ldm.wan.uni3c", "Uni3C")
    return _network(
        uni3c.WanUni3CControlnet, conv_out_dim=48, dim=48, ffn_dim=64, num_heads=2,
        num_layers=2, time_embed_dim=48, out_proj_dim=48, mid_channels=8,
    )  # fmt: skip


def _wan_control(model: Any) -> Any:
    node = host.node("nodes_model_patch", "WanUni3CControlnetApply")()
    vae = Encoder(1, 16, 2, 8, 8)
    video = _picture(5, 64, 64, 3)
    return node.apply_patch(model, _patch_of(_uni3c), vae, video, 0.7, 0.0, 1.0)[0]


def _controlled(name: str, models: tuple[str, ...], *controls: str, **over: Any) -> Setup:
    change = partial(_change, controls=controls, end=over.pop("end", 1.0))
    return Setup(name, models, change=change, **over)


def _change(conds: Conds, name: str, controls: tuple[str, ...], end: float) -> Conds:
    return apply_control(conds, name, *controls, end=end)


UNET = ("sd15",)
SETUPS = [
    _controlled("ControlNet", UNET, "ControlNet", methods=EVERY),
    _controlled("ControlNet of the first half", UNET, "ControlNet", end=0.5),
    # T2I adapters and Control LoRAs exist for UNets only.
    _controlled("T2I adapter", UNET, "T2I adapter", methods=("PAB", "DeepCache")),
    _controlled("Control LoRA", UNET, "Control LoRA", methods=("DeepCache",)),
    _controlled(
        "T2I adapter and ControlNet", UNET, "T2I adapter", "ControlNet", methods=("DeepCache",)
    ),
    _controlled("ControlNet", ("sd3",), "SD3", methods=JOINT),
    _controlled("ControlNet", ("flux",), "Flux", methods=JOINT),
    _controlled("ControlNet", ("qwen",), "Qwen", methods=JOINT),
    _controlled("Fun ControlNet", ("qwen",), "Qwen Fun"),
    Setup("DiffSynth ControlNet", ("qwen",), patch=_qwen_control),
    Setup("Fun ControlNet", ("zimage",), patch=_zimage_control, methods=JOINT),
    Setup("Uni3C ControlNet", ("wan",), patch=_wan_control),
]  # fmt: skip
