"""Wan 2.1 and 2.2 beside text-to-video: every class and every kind of condition of the host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import comfy.ops
import comfy.supported_models as supported
import torch
from comfy.ldm.wan.model import AudioProjModel
from stepcache.cache_core.sites import SiteKind
from torch import nn
from toy import Toy, random_weights

KINDS = frozenset(
    {
        SiteKind.SELF_ATTENTION,
        SiteKind.CROSS_ATTENTION,
        SiteKind.FEED_FORWARD,
        SiteKind.BLOCK,
    }
)
DIM, FRAMES, WIDTH = 48, 2, 24
LATENT = (1, 16, FRAMES, 8, 8)


def wan(variant: str, **over: Any) -> Any:
    """By name: an older host has not every class."""
    return lambda: getattr(supported, variant)({
        "image_model": "wan2.1", "model_type": "t2v", "patch_size": (1, 2, 2), "in_dim": 16,
        "dim": DIM, "ffn_dim": 64, "freq_dim": 32, "text_dim": WIDTH, "out_dim": 16,
        "num_heads": 2, "num_layers": 2, **over,
    })  # fmt: skip


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _clip() -> tuple[str, Any]:
    """What a picture's encoder returns; the width is fixed by the host."""
    return ("clip_vision_output", SimpleNamespace(penultimate_hidden_states=_noise(1, 3, 1280)))


def _small_audio_projection(network: Any) -> None:
    """The host fixes its widths at 26 million weights."""
    network.audio_proj = AudioProjModel(
        seq_len=8, blocks=5, channels=4, intermediate_dim=8,
        operations=comfy.ops.disable_weight_init,
    )  # fmt: skip


class _Motion(nn.Module):
    """In place of a convolutional encoder of 512 x 512 pixels: the mean colour of a frame."""

    def get_motion(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean((2, 3))


class _Face(nn.Module):
    """Five tokens for every fourth frame, as the host's encoder makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Linear(3, 5 * DIM)

    def forward(self, motion: torch.Tensor) -> torch.Tensor:
        return self.tokens(motion[:, ::4]).unflatten(-1, (5, DIM))


def _small_face(network: Any) -> None:
    network.motion_encoder, network.face_encoder = _Motion(), _Face()


def toy(config: Any, *extra: tuple[str, Any], adjust: Any = None, **over: Any) -> Toy:
    return Toy(
        random_weights(config, adjust), over.get("latent", LATENT), (7, WIDTH), extra=extra,
        family="Wan", kinds=KINDS,
    )  # fmt: skip


TOYS: dict[str, Toy] = {
    "wan_i2v": toy(wan("WAN21_I2V", model_type="i2v", in_dim=36), _clip()),
    "wan22_5b": toy(
        wan("WAN22_T2V", in_dim=48, out_dim=48), latent=(1, 48, FRAMES, 8, 8)
    ),
    "wan_vace": toy(
        wan(
            "WAN21_Vace", model_type="vace", num_layers=4, vace_layers=2, vace_in_dim=96
        )
    ),
    "wan_camera": toy(
        wan("WAN21_Camera", model_type="camera", in_dim=32, in_dim_control_adapter=4),
        _clip(),
    ),
    "wan_s2v": toy(
        wan(
            "WAN22_S2V", model_type="s2v", audio_dim=16, num_audio_token=2,
            audio_inject_layers=[0, 1],
        ),
        ("audio_embed", _noise(1, 25, 16, 4 * FRAMES)),
    ),
    "wan_humo": toy(
        wan("WAN21_HuMo", model_type="humo"),
        ("audio_embed", _noise(1, FRAMES, 8, 5, 4)),
        adjust=_small_audio_projection,
    ),
    "wan_animate": toy(
        # One face adapter for every fifth block.
        wan("WAN22_Animate", model_type="animate", in_dim=36, num_layers=10),
        _clip(), ("face_video_pixels", _noise(1, 3, 4, 16, 16)),
        adjust=_small_face,
    ),
    "wan_animate2": Toy(
        # A slot for the reference picture in front, which the pose video lacks.
        random_weights(wan("WAN_Animate2", model_type="animate2", in_dim=36)),
        (1, 16, FRAMES + 1, 8, 8), (7, WIDTH),
        extra=(_clip(), ("pose_video_latent", _noise(1, 16, FRAMES, 8, 8))),
        family="Wan-Animate2",
        kinds=frozenset({SiteKind.CROSS_ATTENTION, SiteKind.FEED_FORWARD}),
        grows=(),  # The pose video has the picture's size.
    ),
    "wan_scail": toy(
        wan("WAN21_SCAIL", model_type="scail", in_dim=20), _clip(),
        ("pose_video_latent", _noise(1, 16, FRAMES, 4, 4)),
    ),
    "wan_scail2": toy(
        wan("WAN21_SCAIL2", model_type="scail2", in_dim=20), _clip(),
        ("pose_video_latent", _noise(1, 16, FRAMES, 4, 4)),
        ("driving_mask_28ch", _noise(1, FRAMES, 28, 4, 4)),
    ),
    "wan_dancer": toy(
        wan(
            "WAN22_WanDancer", model_type="wandancer", in_dim=36,
            audio_inject_layers=[0, 1], music_dim=32, music_heads=2, music_latent_dim=32,
        ),
        _clip(), ("audio_embed", _noise(1, 12, 35)),
    ),
    "wan_causal": Toy(
        random_weights(wan("WAN21_CausalAR_T2V")), LATENT, (7, WIDTH),
        family="Causal Wan", lacks=frozenset({SiteKind.GUIDANCE, SiteKind.EVALUATION}),
    ),
}  # fmt: skip
