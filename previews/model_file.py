"""Which network a file of a loader holds, told by its header before anything is loaded.

The host's own detection chooses the class and its configuration; the network is built without
weights, on the device "meta", and forgotten. Whatever is unexpected means: not known before the
run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import Any

import comfy.utils
import folder_paths
import torch
from comfy import model_detection
from torch import nn
from torch.overrides import TorchFunctionMode

from ..cache_core.host import ModelInfo
from .model_header import Header

LOG = logging.getLogger("stepcache")

FOLDERS = ("checkpoints", "diffusion_models")
"""Where the files of models lie, as the host calls it."""

QUANTIZED = ".comfy_quant"
"""Ends the names of notes on how layers are stored. What they say stands behind the header, and
kinds and widths do not depend on it."""

MAX_CALLS = 20
"""Of PyTorch, for each tensor of a file, to build its network. Almost all take four. Stable
Cascade's draws its weights first: it is not known before the run."""

_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip

_FACTORIES = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file in one of the host's folders of models, and which state of it."""

    path: Path
    changed: int
    size: int


def files_named(names: Sequence[str]) -> list[ModelFile]:
    """The files that the host's loaders offer under these names; no name leads anywhere else."""
    found: dict[str, ModelFile] = {}
    for folder in FOLDERS if names else ():
        try:
            for name in set(folder_paths.get_filename_list(folder)).intersection(names):
                path = folder_paths.get_full_path_or_raise(folder, name)
                state = Path(path).stat()
                found[path] = ModelFile(Path(path), state.st_mtime_ns, state.st_size)
        except (OSError, KeyError) as error:
            LOG.debug("Step Cache: cannot look into %s: %r", folder, error)
    return list(found.values())


def model_info_of(file: Path) -> ModelInfo | None:
    """The network in a file, None where it cannot be told."""
    try:
        header = Header.read(file)
        with _silence(), _WithoutWeights(MAX_CALLS * (len(header.tensors) + 100)):
            network = _network_of(header)
        return None if network is None else ModelInfo.of(network)
    except Exception as error:
        LOG.debug("Step Cache: %s does not tell its model: %r", file.name, error)
        return None


def _network_of(header: Header) -> nn.Module | None:
    weights = {
        name: _stand_in(_TYPES[dtype], shape)
        for name, (dtype, shape) in header.tensors.items()
        if not name.endswith(QUANTIZED)
    }
    prefix = model_detection.unet_prefix_from_state_dict(weights)
    inside = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}
    config, weights = _configured(inside or weights, header.metadata)
    if config is None:
        return None
    # Without weights: they decide about schedules alone.
    network = config.get_model({}, "", device="meta").diffusion_model
    return network if _is_held_by(config.process_unet_state_dict(weights), network) else None


def _configured(
    weights: dict[str, torch.Tensor], metadata: dict[str, str]
) -> tuple[Any, dict[str, torch.Tensor]]:
    """The host's configuration, None without, and the weights under the names that it knows."""
    config: Any = model_detection.model_config_from_unet(weights, "", metadata=metadata)
    if config is not None:
        return config, weights
    renamed = model_detection.convert_diffusers_mmdit(weights, "")
    if renamed is not None:
        return model_detection.model_config_from_unet(renamed, ""), renamed
    config = model_detection.model_config_from_diffusers_unet(weights)
    names = comfy.utils.unet_to_diffusers(config.unet_config) if config is not None else {}
    return config, {names[name]: w for name, w in weights.items() if name in names}


def _stand_in(dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor without memory. Of some vectors, hosts ask how large the numbers are: zeros."""
    if len(shape) == 1:
        return torch.zeros((), dtype=dtype, device="cpu").expand(shape)
    return torch.empty(shape, dtype=dtype, device="meta")


def _is_held_by(weights: Mapping[str, torch.Tensor], network: nn.Module) -> bool:
    """Whether a file has every weight of a network. What is stored in other ways may be meant for
    other loaders, with networks of their own."""
    return all(
        name in weights and weights[name].shape == parameter.shape
        for name, parameter in network.named_parameters()
    )


class _WithoutWeights(TorchFunctionMode):
    """Makes no numbers, not even those of the generator that a run beside it draws from.

    Args:
        calls: after so many the network has far more parts than its file.
    """

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._left = calls

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("a network with far more parts than its file")
        kwargs = kwargs or {}
        if func in _FACTORIES and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what the host says about a model to itself: nobody has loaded one."""
    own, root = get_ident(), logging.getLogger()

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.thread != own

    root.addFilter(is_of_others)
    try:
        yield
    finally:
        root.removeFilter(is_of_others)
