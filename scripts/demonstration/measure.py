"""How alike two pictures are, as the pack's own node measures it; and pictures from files."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from setup.layout import ROOT

Pixels = NDArray[np.float64]


def read_picture(data: bytes) -> Pixels:
    """An encoded picture as (height, width, 3) in [0, 1]."""
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.float64) / 255.0


def _metrics() -> ModuleType:
    """One file of the pack, whose nodes cannot be imported without ComfyUI."""
    path = ROOT / "pictures" / "metrics.py"
    spec = importlib.util.spec_from_file_location("stepcache_metrics", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_MODULE = _metrics()
psnr: Callable[[Pixels, Pixels], float] = _MODULE.psnr
ssim: Callable[[Pixels, Pixels], float] = _MODULE.ssim
