"""What a calibration says about the model and the run it was made with."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import comfy.samplers
import torch
from torch import nn

from ...calibration import ModelFacts
from ...sites import Site, SiteKind
from ..families import Family

CUSTOM = "custom"


def facts_of(network: nn.Module, family: Family, sites: Iterable[Site]) -> ModelFacts:
    """The architecture of a network: its class, its layers and their widths.

    Weights, their data type, quantization and LoRAs do not change it.
    """
    sites = tuple(sites)
    layers = Counter(site.kind for site in sites)
    parts = [type(network).__name__, [[str(s.kind), s.path, _widths(network, s)] for s in sites]]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return ModelFacts(
        family=family.name,
        network=type(network).__name__,
        fingerprint=digest[:32],
        layers={kind: layers[kind] for kind in SiteKind if layers[kind]},
    )


def _widths(network: nn.Module, site: Site) -> list[list[int]]:
    """Widths of a site's linear layers, which quantized ones keep as attributes too."""
    if not site.path:
        return []
    modules = network.get_submodule(site.path).modules()
    found = ((getattr(m, "in_features", None), getattr(m, "out_features", None)) for m in modules)
    return [[a, b] for a, b in found if isinstance(a, int) and isinstance(b, int)]


def scheduler_of(model_sampling: Any, sigmas: torch.Tensor) -> str:
    """The name of the host's scheduler that gives these noise levels."""
    steps = len(sigmas) - 1
    for name in comfy.samplers.SCHEDULER_NAMES:
        try:
            found = comfy.samplers.calculate_sigmas(model_sampling, name, steps)
        except Exception:
            continue
        if found.shape == sigmas.shape and torch.allclose(found.cpu().float(), sigmas, rtol=1e-4):
            return name
    return CUSTOM


def shift_of(model_sampling: Any) -> float | None:
    """The shift of a flow model's schedule, None where there is none."""
    shift = getattr(model_sampling, "shift", None)
    return float(shift) if isinstance(shift, int | float) else None


def is_compiled(network: nn.Module) -> bool:
    """Whether compiled code runs in the network, whose operations cannot be counted."""
    return any(
        hasattr(module, "_orig_mod") or module._compiled_call_impl is not None
        for module in network.modules()
    )


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
