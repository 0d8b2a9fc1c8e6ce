"""Lets torchvision be imported beside a torch without CUDA.

Set-up copies this file into its own environment, and only where torchvision cannot be imported
otherwise: the published wheel's compiled library is built for CUDA, does not load, and with it the
two operators are missing that torchvision's Python side refers to on import. ComfyUI imports
torchvision but calls neither operator in anything that the pack touches.
"""

from __future__ import annotations

import importlib.abc
import sys
from importlib.machinery import ModuleSpec
from typing import Any

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class OperatorsBeforeTorchvision(importlib.abc.MetaPathFinder):
    """Declares the operators when torchvision is about to be imported, and finds nothing."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            import torch

            for operator in ("nms", "qnms"):
                torch.library.define(f"torchvision::{operator}", SCHEMA)
        return None


sys.meta_path.insert(0, OperatorsBeforeTorchvision())
