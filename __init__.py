"""ComfyUI-StepCache: training-free diffusion caches as ComfyUI nodes.

Importable without ComfyUI: the nodes are loaded when ComfyUI asks for them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes.extension import StepCacheExtension

WEB_DIRECTORY = "./web"
"""Read by ComfyUI: help pages of the nodes stand in its docs folder."""


async def comfy_entrypoint() -> StepCacheExtension:
    """Called by ComfyUI when it loads the pack."""
    from .nodes.extension import StepCacheExtension

    return StepCacheExtension()


if "folder_paths" in sys.modules:
    # Checked here, because a ComfyUI that knows no comfy_entrypoint passes the pack by in silence.
    from .nodes import requirement

    requirement.require()
