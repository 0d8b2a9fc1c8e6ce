"""What people plug in around a model: other samplers, other weights, and what steers attention.

A setup is one such thing on the models that it fits; the tests sample every setup with and without
our methods.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import toys
from stepcache.cache_core.methods import METHODS, StepCache

Conds = tuple[list, list]
Run = Callable[[Any, str, Conds], torch.Tensor]


STEPS = 5
EVERY = (*(method.__name__ for method in METHODS if method is not StepCache), "PAB blocks")
"""Methods inside the network."""


def sample(model: Any, name: str, conds: Conds, **options: Any) -> torch.Tensor:
    """One run."""
    options = {"steps": STEPS, **dict(toys.TOYS[name].options), **options}
    return toys.sample(model, name, conds=conds, **options)


@dataclass(frozen=True)
class Setup:
    """One thing that people plug in.

    Args:
        models: toys that it fits.
        load: makes the model, where its weights are what is special about it.
        patch: patches the model.
        change: changes the conditioning.
        run: samples; one flat tensor of everything that came out.
        conds: the conditioning, where the model is no toy's.
        methods: methods that are tried on it, where the model has what they need.
        steps: sampler steps that the settings must fit.
        forced: reasons for which a planned reuse may be computed instead.
        asks_alike: whether the same question is asked in every evaluation where inputs are held
            still. Not so where sizes change, or several models take part.
        has_effect: whether the picture differs from the one without it.
    """

    name: str
    models: tuple[str, ...]
    load: Callable[[str], Any] = toys.load
    patch: Callable[[Any], Any] = lambda model: model
    change: Callable[[Conds, str], Conds] = lambda conds, name: conds
    run: Run = sample
    conds: Callable[[str], Conds] = toys.conditioning
    methods: tuple[str, ...] = ("PAB", "FasterCache")
    steps: int = STEPS
    forced: frozenset[str] = frozenset()
    asks_alike: bool = True
    has_effect: bool = True

    def __str__(self) -> str:
        return self.name

    def picture(self, model: Any, name: str, run: Run | None = None) -> torch.Tensor:
        """What comes out of a model that carries this setup."""
        torch.manual_seed(0)  # some networks and patches draw from the global generator
        return (run or self.run)(model, name, self.change(self.conds(name), name))
