"""Whether the ComfyUI that loads the pack has what it needs, said before there is any node."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from operator import attrgetter

from ..cache_core.errors import UnsupportedHostError

OLDEST = "0.16.3"
"""The oldest tested version. An older one is refused for what it lacks, not for its number."""

NEEDS = {
    "comfy.patcher_extension": (
        "WrappersMP.OUTER_SAMPLE",
        "WrappersMP.PREDICT_NOISE",
        "WrappersMP.CALC_COND_BATCH",
        "WrappersMP.APPLY_MODEL",
    ),
    "comfy_api.latest": ("ComfyExtension", "io.ComfyNode", "io.Schema", "io.NodeOutput"),
}
"""What nodes and wrappers are made of, by module."""


def require() -> None:
    """Refuse a ComfyUI that is too old.

    Raises:
        UnsupportedHostError: it lacks something; the message names everything that it lacks.
    """
    missing = lacks()
    if missing:
        raise UnsupportedHostError(
            f"Step Cache: this is {_name()}, which has no {', no '.join(missing)}; expected "
            f"ComfyUI {OLDEST} or newer. Update ComfyUI with its updater, ComfyUI-Manager or git "
            f"pull, and start it again"
        )


def lacks() -> list[str]:
    """What the pack needs and this ComfyUI does not have."""
    missing: list[str] = []
    for module, names in NEEDS.items():
        if not _can_import(module):
            missing.append(module)
            continue
        missing += [f"{module}.{name}" for name in names if not _has(module, name)]
    return missing or _inputs_lack()


def _inputs_lack() -> list[str]:
    """Older inputs of nodes cannot be kept out of sight until somebody asks for them."""
    inputs = import_module("comfy_api.latest").io.Int.Input
    return [] if "advanced" in signature(inputs).parameters else ["advanced inputs of nodes"]


def _can_import(module: str) -> bool:
    """Whether there is such a module; one that is there and fails shows its own error."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        return False
    return True


def _has(module: str, name: str) -> bool:
    try:
        attrgetter(name)(import_module(module))
    except AttributeError:
        return False
    return True


def _name() -> str:
    try:
        return f"ComfyUI {import_module('comfyui_version').__version__}"
    except (ImportError, AttributeError):
        return "a ComfyUI that does not state its version"
