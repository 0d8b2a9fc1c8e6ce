"""Networks of ComfyUI versions that cannot be had here: doubles of ours, called as those are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import nn
from toy import Toy, fill, random_weights

from .joint import JOINT, VIDEO, qwen_config

WIDTH, HEADS, CONTEXT = 32, 2, 24
CHANNELS, TOKENS = VIDEO[1], VIDEO[-1] * VIDEO[-2]
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_qkv, self.to_out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(
        self, x: torch.Tensor, pe: Any, attn_fn: Attend, prefix_len: int, options: Any
    ) -> torch.Tensor:
        return self.to_out(attn_fn(*self.to_qkv(x).chunk(3, dim=-1)))


class _Block(nn.Module):
    """Writes into the tokens that it gets: the prompt, of the length that is told, and pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = _Attention()
        self.img_mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def forward(
        self, x: torch.Tensor, mod: Any, pe: Any, attn_fn: Attend, prefix_len: int, options: Any
    ) -> torch.Tensor:
        for part in (partial(self.attn, pe=pe, attn_fn=attn_fn, prefix_len=prefix_len,
                             options=options), self.img_mlp):  # fmt: skip
            added = part(self._modulated(x, mod, prefix_len))
            x[:, prefix_len:] += mod * added[:, prefix_len:]
            x[:, :prefix_len] += added[:, :prefix_len]
        return x

    @staticmethod
    def _modulated(x: torch.Tensor, mod: torch.Tensor, prefix_len: int) -> torch.Tensor:
        """The prompt as at noise 0, which makes what is kept of it true in every step."""
        normed = nn.functional.layer_norm(x, (WIDTH,))
        return torch.cat([normed[:, :prefix_len], normed[:, prefix_len:] * (1 + mod)], dim=1)


class _Prefixes:
    """Keys and values of prompts, as long as a run lasts."""

    def __init__(self) -> None:
        self.slots: list[tuple[torch.Tensor, list[torch.Tensor]]] = []

    def of(self, prompt: torch.Tensor) -> list[torch.Tensor] | None:
        is_same = (
            kept for key, kept in self.slots
            if key.shape == prompt.shape and torch.equal(key, prompt)
        )  # fmt: skip
        return next(is_same, None)


class QwenImage21Transformer2DModel(nn.Module):
    """Calls its blocks for prompt and picture apart, and from the second step on for the latter."""

    def __init__(self) -> None:
        super().__init__()
        self.img_in, self.txt_in = nn.Linear(CHANNELS, WIDTH), nn.Linear(CONTEXT, WIDTH)
        self.time = nn.Linear(1, WIDTH)
        self.transformer_blocks = nn.ModuleList([_Block(), _Block()])
        self.proj_out = nn.Linear(WIDTH, CHANNELS)
        self.dtype = torch.float32
        self.prefix_cache: _Prefixes | None = None
        self._run: Any = None

    def forward(
        self, x: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor,
        transformer_options: Any = None, **_: Any,
    ) -> torch.Tensor:  # fmt: skip
        options = transformer_options or {}
        if options.get("sample_sigmas") is not self._run or self.prefix_cache is None:
            self._run, self.prefix_cache = options.get("sample_sigmas"), _Prefixes()
        mod = self.time(timestep.view(-1, 1, 1)).tanh()
        prompt, picture = self.txt_in(context), self.img_in(x.flatten(2).transpose(1, 2))
        kept = self.prefix_cache.of(context)
        is_new = kept is None
        if kept is None:
            kept = []
            self.prefix_cache.slots.append((context, kept))
        for number, block in enumerate(self.transformer_blocks):
            if is_new:
                keeping = partial(_keeping, kept)
                prompt = block(prompt, mod, None, keeping, prompt.shape[1], options)
            picture = block(picture, mod, None, partial(_behind, kept[number]), 0, options)
        return self.proj_out(picture).transpose(1, 2).unflatten(2, x.shape[2:])


def _keeping(
    kept: list[torch.Tensor], q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    kept.append(torch.stack([k, v]))
    return optimized_attention(q, k, v, HEADS)


def _behind(
    prefix: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Attention of the picture to the prompt and to itself."""
    k, v = (torch.cat(pair, dim=1) for pair in zip(prefix, (k, v), strict=True))
    return optimized_attention(q, k, v, HEADS)


class Trellis2(nn.Module):
    """Of the network, what can be seen from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.structure_model = nn.ModuleDict({"blocks": nn.ModuleList([_Block(), _Block()])})
        self.out_layer = nn.Conv3d(CHANNELS, CHANNELS, 1)
        self.dtype = torch.float32

    def forward(
        self, x: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor, **_: Any
    ) -> torch.Tensor:
        told = context.mean((1, 2)) + timestep
        return self.out_layer(x) * told.view(-1, 1, 1, 1, 1)


for cls in (_Attention, _Block, QwenImage21Transformer2DModel):
    cls.__module__ = cls.forward.__module__ = "comfy.ldm.qwen_image21.model"
Trellis2.__module__ = Trellis2.forward.__module__ = "comfy.ldm.trellis2.model"


def _with(network: Callable[[], nn.Module]) -> Any:
    """A model of the host with another network in it."""
    patcher = random_weights(qwen_config)()
    patcher.model.diffusion_model = network().requires_grad_(False).eval()
    fill(patcher.model.diffusion_model)
    return patcher


TOYS: dict[str, Toy] = {
    # As many tokens of prompt as of picture: what tells them apart is not their number.
    "qwen_image_21": Toy(
        partial(_with, QwenImage21Transformer2DModel),
        VIDEO,
        (TOKENS, CONTEXT),
        family="Qwen-Image 2.1",
        kinds=JOINT,
    ),
    "trellis2": Toy(partial(_with, Trellis2), VIDEO, (TOKENS, CONTEXT), family="Trellis2"),
}
