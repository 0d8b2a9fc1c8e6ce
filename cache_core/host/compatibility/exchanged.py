"""Modules whose class another pack has exchanged in place, and whose pack that is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import nn

_HOSTS = frozenset({"comfy", "comfy_extras", "torch", __name__.split(".", maxsplit=1)[0]})
"""Packages whose forwards the tables of families are about."""


def pack_of(owner: type | Callable[..., Any]) -> str:
    """What people call the pack that a class or a function is from.

    ComfyUI loads packs under the path of their folder, with dots written otherwise.
    """
    package = str(getattr(owner, "__module__", "")).split(".", maxsplit=1)[0]
    return re.split(r"[/\\]", package)[-1].replace("_x_", ".") or "another pack"


def is_exchanged(module: nn.Module) -> bool:
    """Whether the forward of a module's class is neither the host's nor PyTorch's."""
    forward: Any = type(module).forward
    return str(getattr(forward, "__module__", "")).split(".", maxsplit=1)[0] not in _HOSTS


def in_words(path: str, module: nn.Module) -> str:
    """Which module it is, and of which pack, with what to do about it."""
    kind = type(module)
    return (
        f"{path or 'the network'} is a {kind.__name__} of {pack_of(kind)}, which took the place of "
        f"the model's own class and keeps it when its node is gone. To reuse, take that node out "
        f"and load the model anew (unload models, or restart ComfyUI)"
    )
