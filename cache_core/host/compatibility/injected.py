"""Modules that nodes inject into a network for sampling, by the host's own means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import comfy.model_management


@contextmanager
def ejected(model: Any) -> Iterator[None]:
    """The network as it was loaded, without the modules that nodes inject into it for sampling.

    The host leaves those in it after a run, as long as it keeps the patcher that brought them.

    Args:
        model: a host's ``ModelPatcher``; another one of the same network may be the loaded one.
    """
    with ExitStack() as stack:
        for loaded in comfy.model_management.current_loaded_models:
            patcher: Any = loaded.model
            if patcher is not None and getattr(patcher, "model", None) is model.model:
                stack.enter_context(patcher.use_ejected())
        yield
