"""Published models with everything that makes them faster at once: settings, and a cache.

Files, sizes and caches are those of the other workflows; docs/recipes.md has what each part gains.
"""

from __future__ import annotations

from dataclasses import replace

from workflow_checkpoints import NOT_MEASURED, Checkpoint
from workflow_methods import ATTENTION, COMPILE, DEEPCACHE, PRECISION, Method
from workflow_picture_models import FLUX_DEV, SDXL
from workflow_video_models import WAN21

BEGINNING = (
    "**A recipe:** settings of PyTorch and a cache on one model. The order of their nodes does not "
    "matter: the picture and what the report tells are the same in any.\n"
    "\n- bypass one of them (Ctrl+B) and run again, to see what it gains here"
    "\n- the report behind the sampler tells of each\n\n"
)


def _recipe(model: Checkpoint, *caches: Method) -> Checkpoint:
    """A model's workflow with the settings and its caches."""
    first = replace(PRECISION, note=BEGINNING + PRECISION.note + NOT_MEASURED)
    return replace(model, methods=(first, ATTENTION, *caches, COMPILE))


def _without_ending(method: Method) -> Method:
    """A method whose note leaves out what the recipe's first note says."""
    return replace(method, note=method.note.replace(NOT_MEASURED, ""))


RECIPES = {
    "sdxl_stack": replace(_recipe(SDXL, DEEPCACHE), kinds=("deep_branch",)),
    "flux_stack": _recipe(FLUX_DEV, *map(_without_ending, FLUX_DEV.methods)),
    "wan_stack": _recipe(WAN21, *map(_without_ending, WAN21.methods)),
}
"""File name of the workflow -> model."""
