"""Demo node package: two small shape models and what a workflow around them needs.

ComfyUI loads this folder as a custom-node package of its own; it is not part of the pack's nodes.
Importing it needs neither ComfyUI nor torch.
"""

from __future__ import annotations

from typing import Any


async def comfy_entrypoint() -> Any:
    """Called by ComfyUI when it loads the package."""
    from .nodes import ShapesExtension, register_models

    register_models()
    return ShapesExtension()
