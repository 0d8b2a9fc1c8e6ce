"""Boots a genuine ComfyUI in this process, and skips by name what it is too old for."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from comfy_api.latest import io


def comfyui_path() -> Path:
    """The folder of the ComfyUI under test: COMFYUI_PATH, else the one that set-up unpacked."""
    given = os.environ.get("COMFYUI_PATH")
    path = Path(given) if given else Path(__file__).parents[2] / ".comfyui" / "ComfyUI"
    if not (path / "comfy").is_dir():
        raise RuntimeError(
            f"no ComfyUI in {path}; run `python scripts/test.py`, which unpacks one, or set "
            f"COMFYUI_PATH; `python scripts/test.py --fast` needs none"
        )
    return path


def outputs_of(made: io.NodeOutput) -> tuple[Any, ...]:
    """What a node hands out."""
    assert made.result is not None
    return made.result


def boot(cpu: bool = True) -> None:
    """Put the host on ``sys.path`` and parse its options as its ``main.py`` would.

    Args:
        cpu: run on one CPU thread, as tests do; otherwise on what the machine has.
    """
    path = str(comfyui_path())
    if path in sys.path:
        return
    sys.path.insert(0, path)
    import torch

    if cpu:
        # Toy models are dominated by the cost of handing work to threads, and to oneDNN.
        torch.set_num_threads(1)
        torch.backends.mkldnn.set_flags(False)
        # As on a GPU; with the host's own for processors a step of the toy UNet takes 1.4 times as
        # long.
        arguments = ["--cpu", "--use-pytorch-cross-attention"]
    else:
        arguments = [] if torch.cuda.is_available() else ["--cpu"]
    argv, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.cli_args

        # As main.py does first: in older hosts another module comes to be called "utils" later.
        importlib.import_module("utils.extra_config")
    finally:
        sys.argv = argv


def version() -> str:
    """What the booted ComfyUI calls itself."""
    import comfyui_version

    return comfyui_version.__version__


def skip_if_older(since: str, what: str) -> None:
    """Skip the running test where the host is too old.

    Args:
        since: the first tested version of ComfyUI that has it.
        what: its name, such as a model family.
    """
    if _numbers(version()) < _numbers(since):
        _skip(what)


def module(name: str, what: str) -> Any:
    """A module of the host; where the host lacks it, skip the running test or file.

    Args:
        name: dotted name.
        what: what it is there for, such as a model family.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        _skip(what)


def node(module_name: str, name: str) -> Any:
    """A node of the host's own; where the host lacks it, skip the running test.

    Args:
        module_name: a module of ``comfy_extras``.
        name: the class.
    """
    found = getattr(module(f"comfy_extras.{module_name}", f"the node {name}"), name, None)
    return _skip(f"the node {name}") if found is None else found


def applied(module: str, name: str, **inputs: Any) -> Callable[[Any], Any]:
    """What a node of the host's own does to a model."""

    def apply(model: Any) -> Any:
        kind = node(module, name)
        if hasattr(kind, "define_schema"):
            answer = kind.execute(model=model, **inputs)
            return getattr(answer, "result", answer)[0]
        return getattr(kind(), kind.FUNCTION)(model=model, **inputs)[0]

    return apply


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _skip(what: str) -> NoReturn:
    # Benchmarks boot a host too, and run where there is no pytest.
    import pytest

    pytest.skip(f"{what} is younger than ComfyUI {version()}", allow_module_level=True)
