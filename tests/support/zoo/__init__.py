"""A tiny model of every family, each group in its file."""

from __future__ import annotations

from toy import Toy

from . import crossed, double_stream, joint, later, loaded, others, unets

TOYS: dict[str, Toy] = {
    **double_stream.TOYS,
    **joint.TOYS,
    **crossed.TOYS,
    **others.TOYS,
    **later.TOYS,
}

VARIANTS = frozenset({
    "chroma_radiance", "cogvideox_i2v", "flux2", "hunyuan_image", "hunyuan_image_refiner",
    "hunyuan_video_i2v", "hunyuan_video_sr", "kandinsky5_image", "kontext", "longcat", "ovis",
    "pid", "pixart_alpha", "qwen_edit", "stable_audio_3", "wan22_5b", "wan_camera", "wan_i2v",
    "wan_scail", "wan_scail2", "zimage", "zimage_pixel",
})  # fmt: skip
"""Models of a class that another one stands for: a few laws are enough for them."""

LOADED: dict[str, Toy] = loaded.TOYS
"""The same families out of the host's loader."""

UNETS: dict[str, Toy] = unets.TOYS
"""Further models on the host's UNet. The mechanism is the same, so a few laws are enough."""

SINCE: dict[str, tuple[str, str]] = {
    "boogu": ("0.27.0", "Boogu"),
    "cogvideox": ("0.24.1", "CogVideoX"),
    "cogvideox_file": ("0.24.1", "CogVideoX"),
    "cogvideox_i2v": ("0.24.1", "CogVideoX"),
    "ernie": ("0.20.1", "Ernie-Image"),
    "hidream_o1": ("0.24.1", "HiDream O1"),
    # An older host modulates the given frame wrongly where cond and uncond share a batch.
    "hunyuan_video_i2v": ("0.18.2", "HunyuanVideo image to video in a batch"),
    "hunyuan3d_21": ("0.24.1", "Hunyuan3D 2.1 with one branch alone"),
    "ideogram4": ("0.24.1", "Ideogram 4"),
    "joyimage": ("0.30.0", "JoyImage"),
    "krea2": ("0.27.0", "Krea 2"),
    "lens": ("0.24.1", "Lens"),
    "mage_flow": ("0.30.0", "Mage-Flow"),
    "minimax": ("0.30.0", "MiniMax H3"),
    "minimax_music": ("0.33.0", "MiniMax Music 3"),
    "pid": ("0.24.1", "PiD"),
    "pixeldit": ("0.24.1", "PixelDiT"),
    "seedvr2": ("0.27.0", "SeedVR2"),
    "stable_audio_3": ("0.24.1", "Stable Audio 3"),
    "triposplat": ("0.24.1", "TripoSplat"),
    "wan_animate2": ("0.31.0", "Wan-Animate2"),
    "wan_causal": ("0.24.1", "Causal Wan"),
    "wan_dancer": ("0.24.1", "Wan-Dancer"),
    "wan_scail2": ("0.27.0", "Wan SCAIL-2"),
}
"""What not every tested version of ComfyUI has: the first that does, and what it is called."""
