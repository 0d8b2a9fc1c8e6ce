"""The base of every node of the pack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io


class Node(io.ComfyNode):
    """A node whose functions name its inputs.

    ComfyUI's own are declared with ``**kwargs`` alone, which nothing that names an input may
    override; for a checker of types alone, so that ComfyUI finds what a node really defines.
    """

    if TYPE_CHECKING:

        @classmethod
        def execute(cls, *args: Any, **inputs: Any) -> io.NodeOutput: ...

        @classmethod
        def fingerprint_inputs(cls, *args: Any, **inputs: Any) -> Any: ...
