"""What the nodes have in common that attach one method to a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from comfy_api.latest import io

from ..cache_core.host import attach
from ..cache_core.methods import Method
from ..previews.cache import PreviewCache
from ..previews.live import listener_of
from ..previews.request import default_of
from .node import Node

Inputs = Mapping[str, Any]


class MethodNode(Node):
    """A node that attaches one method to a model.

    Its schema asks for the hidden unique_id and is not idempotent: otherwise ComfyUI hands what one
    node made to any other with equal inputs, and its run would be told to the wrong strip.
    """

    mild: ClassVar[Inputs] = {}
    bold: ClassVar[Inputs] = {}
    """Inputs of a milder and a bolder setting than the node comes with, for runs of 30 steps; what
    is named here is scored by the benchmark `quality`."""

    @classmethod
    def method(cls, *args: Any, **inputs: Any) -> Method:
        """The method that the node's inputs, without the model, mean.

        Raises:
            ConfigError: an input does not fit the others.
        """
        raise NotImplementedError

    @classmethod
    def previewed(cls, cache: PreviewCache, *args: Any, **inputs: Any) -> Method:
        """As `method`, for a strip; those that search by a calibration take it from the cache."""
        return cls.method(*args, **inputs)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The inputs that the node comes with, without the model."""
        return {
            item.id: default_of(item) for item in cls.define_schema().inputs if item.id != "model"
        }

    @classmethod
    def as_it_comes(cls, **others: Any) -> Method:
        """The method that the node comes with, but for other values of some inputs."""
        return cls.method(**{**cls.defaults(), **others})

    @classmethod
    def execute(cls, model: io.Model.Type, *args: Any, **inputs: Any) -> io.NodeOutput:
        """The model with the method attached."""
        return io.NodeOutput(cls.attach(model, cls.method(*args, **inputs)))

    @classmethod
    def attach(cls, model: io.Model.Type, method: Method) -> Any:
        """A clone of the model that samples with the method, and tells the node about it."""
        hidden = cls.hidden
        node_id = hidden.unique_id if hidden is not None else None
        return attach(model, method, listener_of(cls.define_schema().node_id, node_id))
