"""Boots a genuine ComfyUI in this process, on the CPU."""

from __future__ import annotations

import os
import sys
from pathlib import Path


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
        # Toy models are dominated by the cost of handing work to threads.
        torch.set_num_threads(1)
    arguments = ["--cpu"] if cpu or not torch.cuda.is_available() else []
    argv, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.cli_args
    finally:
        sys.argv = argv
