"""Models whose weights are kept or computed another way: fp8, quantised, offloaded, compiled."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.ops
import comfy.sd
import folder_paths
import torch
import toys
from comfy_api.torch_helpers import set_torch_compile_wrapper
from host import applied
from runtime import Conds, Setup, sample
from safetensors.torch import save_file

import nodes

FILES = ("sd15_file", "wan_file", "flux_file", "sd3_file")
"""Models that come out of the host's loader."""
PLAIN = ("sd15", "wan", "flux", "sd3")


def _weights_of(name: str) -> dict[str, torch.Tensor]:
    weights = toys.load(name).model.diffusion_model.state_dict()
    return {key: value.contiguous().clone() for key, value in weights.items()}


@cache
def fp8(name: str) -> Any:
    """Through ComfyUI's loader node, with weights of eight bits."""
    with tempfile.TemporaryDirectory() as folder:
        save_file(_weights_of(name), Path(folder) / f"{name}.safetensors")
        folder_paths.add_model_folder_path("diffusion_models", folder)
        (model,) = nodes.UNETLoader().load_unet(f"{name}.safetensors", "fp8_e4m3fn")
    weight = next(p for p in model.model.diffusion_model.parameters() if p.ndim == 2)
    assert weight.dtype is torch.float8_e4m3fn
    return model


class QuantisedOperations(comfy.ops.manual_cast):
    """What GGUF packs hand to the loader: layers that keep integers and multiply them out."""

    class Linear(comfy.ops.manual_cast.Linear):
        """A linear layer of one scale per row."""

        def _load_from_state_dict(
            self, state_dict: dict[str, torch.Tensor], prefix: str, *args: Any, **kwargs: Any
        ) -> None:
            weight = state_dict[f"{prefix}weight"].float()
            self.scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-8) / 127
            integers = (weight / self.scale).round().to(torch.int8)
            self.weight = torch.nn.Parameter(integers, requires_grad=False)
            bias = state_dict.get(f"{prefix}bias")
            self.bias = None if bias is None else torch.nn.Parameter(bias, requires_grad=False)

        def forward(self, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
            weight = self.weight.to(x.dtype) * self.scale.to(x.dtype)
            bias = None if self.bias is None else self.bias.to(x.dtype)
            return torch.nn.functional.linear(x, weight, bias)


@cache
def quantised(name: str) -> Any:
    """Loaded with operations of another pack."""
    options = {"custom_operations": QuantisedOperations}
    model = comfy.sd.load_diffusion_model_state_dict(_weights_of(name), model_options=options)
    assert model is not None
    layers = model.model.diffusion_model.modules()
    assert any(isinstance(layer, QuantisedOperations.Linear) for layer in layers)
    return model


def with_lora(model: Any) -> Any:
    """A LoRA on every attention and feed-forward weight that is a matrix."""
    generator = torch.Generator().manual_seed(9)
    patches = {
        f"diffusion_model.{name}": (0.05 * torch.randn(weight.shape, generator=generator),)
        for name, weight in model.model.diffusion_model.named_parameters()
        if weight.ndim == 2 and ("attn" in name or "mlp" in name or "ff" in name)
    }
    clone = model.clone()
    clone.add_patches(patches, 0.7)
    return clone


@contextmanager
def little_memory(budget: int) -> Iterator[None]:
    """Let the host load only so many bytes of a model, and cast the rest layer by layer."""
    load = comfy.model_management.LoadedModel.model_load

    def load_partly(self: Any, *args: Any, **kwargs: Any) -> Any:
        return load(self, budget, **kwargs)

    comfy.model_management.LoadedModel.model_load = load_partly
    try:
        yield
    finally:
        comfy.model_management.LoadedModel.model_load = load
        comfy.model_management.unload_all_models()


def _offloaded(model: Any, name: str, conds: Conds) -> torch.Tensor:
    comfy.model_management.unload_all_models()
    with little_memory(40_000):
        picture = sample(model, name, conds)
        layers = model.model.diffusion_model.modules()
        assert any(getattr(layer, "weight_function", None) for layer in layers)
    return picture


own_copy = cache(lambda name: toys.TOYS[name].make())

COMPILE = applied("nodes_torch_compile", "TorchCompileModel", backend="eager")
"""Traced and guarded as always, without code generation, which costs minutes and rounds anew."""


def compile_blocks(model: Any) -> Any:
    """What other packs do: every block by itself."""
    rows = ("blocks", "double_blocks", "single_blocks", "joint_blocks")
    network = model.model.diffusion_model
    keys = [
        f"diffusion_model.{row}.{index}"
        for row in rows
        for index in range(len(getattr(network, row, ())))
    ]
    clone = model.clone(disable_dynamic=True)
    set_torch_compile_wrapper(clone, backend="eager", keys=keys)
    return clone


SETUPS = [
    Setup("fp8 weights", FILES, load=fp8, methods=("PAB",)),
    Setup("fp8 weights", ("wan_file", "flux_file"), load=fp8, methods=("PAB blocks",)),
    Setup("quantised weights", FILES, load=quantised, methods=("PAB",)),
    Setup(
        "offloaded weights", PLAIN, load=own_copy, patch=with_lora, run=_offloaded,
        methods=("PAB", "SmoothCache"),
    ),
    Setup(
        "offloaded weights", ("sd15",), load=own_copy, patch=with_lora, run=_offloaded,
        methods=("DeepCache",),
    ),
]  # fmt: skip
