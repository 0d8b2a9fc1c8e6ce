"""Looks at single sampling runs of a clone that is made for nothing else."""

from __future__ import annotations

from typing import Any

from comfy.patcher_extension import WrappersMP

from ..cache_core.host import network_of
from ..cache_core.host.compatibility.fingerprint import is_compiled
from ..cache_core.host.not_copied import NotPickled

KEY = "stepcache_audit"
"""Beginning of the keys under which our wrappers stand."""


class RunProbe(NotPickled):
    """One run that is looked at; what was found stands in it when the run is over.

    This one only looks on: subclasses say at which of three places they do more. What they change
    there they put back before they return.
    """

    def on(self, model: Any) -> Any:
        """A clone of the model whose next run is looked at.

        Args:
            model: the host's ``ModelPatcher``; it is not changed.

        Raises:
            UnsupportedModelError: it holds no diffusion network.
        """
        network_of(model, "Speed Audit")
        clone = model.clone()
        key = f"{KEY}_{type(self).__name__}"
        for place, wrapper in (
            (WrappersMP.OUTER_SAMPLE, self.outer_sample),
            (WrappersMP.PREDICT_NOISE, self.predict_noise),
            (WrappersMP.APPLY_MODEL, self.apply_model),
        ):
            clone.add_wrapper_with_key(place, key, wrapper)
        return clone

    def outer_sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """OUTER_SAMPLE: around the whole run; weights are loaded inside of it."""
        return executor(*args, **kwargs)

    def predict_noise(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """PREDICT_NOISE: around each evaluation that the sampler asks for."""
        return executor(*args, **kwargs)

    def apply_model(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """APPLY_MODEL: around each call of the model, of which an evaluation may take several."""
        return executor(*args, **kwargs)


def goes_through_compiler(patcher: Any) -> bool:
    """Whether code of this model is compiled, which nobody may listen to: it would be anew."""
    network = patcher.model.diffusion_model
    return "torch_compile_kwargs" in patcher.model_options or is_compiled(network)
