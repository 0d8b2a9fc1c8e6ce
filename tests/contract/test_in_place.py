"""Which blocks write into what they are given: families promise it, the host shows it."""

from __future__ import annotations

from typing import Any

import observe
import pytest
import torch
import toys
import zoo
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.families import FAMILIES, BlockResidual, family_of
from stepcache.cache_core.methods import PAB
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

WITH_BLOCKS = [name for name, toy in zoo.TOYS.items() if SiteKind.BLOCK in toy.kinds]
IN_PLACE = {
    family.name
    for family in FAMILIES
    for layer in family.layers
    if isinstance(layer.access, BlockResidual) and layer.access.writes_in_place
}


@pytest.mark.parametrize("name", [*WITH_BLOCKS, "sd15", "svd", "wan"])
def test_blocks_write_into_their_streams_where_the_family_says_so(name: str) -> None:
    model = toys.load(name)
    network = model.model.diffusion_model
    family = family_of(network)
    assert family is not None
    blocks = {s.path: a for s, a in family.sites(network).items() if isinstance(a, BlockResidual)}
    written = _written(model, name, list(blocks))
    for path in written:
        assert blocks[path].writes_in_place, f"{path} writes into its arguments"
    if any(access.writes_in_place for access in blocks.values()):
        assert written, "no block of this model writes in place"


def _written(model: Any, name: str, paths: list[str]) -> set[str]:
    """Blocks that changed a tensor which they were given."""
    found: set[str] = set()

    def hear(path: str, compute: Any, args: Any, kwargs: Any) -> Any:
        output, has_written = observe.changes_its_arguments(compute, args, kwargs)
        if has_written:
            found.add(path)
        return output

    def watch(executor: Any, *args: Any, **kwargs: Any) -> Any:
        with observe.overheard(executor.class_obj.diffusion_model, paths, hear):
            return executor(*args, **kwargs)

    clone = model.clone()
    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "watch", watch)
    toys.sample(clone, name, steps=1)
    return found


@pytest.mark.parametrize(
    "name", [name for name in WITH_BLOCKS if zoo.TOYS[name].family in IN_PLACE]
)
@pytest.mark.parametrize("method", [{"block": 2}, {"self_attention": 2, "cross_attention": 2}])
def test_what_blocks_write_does_not_reach_stored_values(name: str, method: dict[str, int]) -> None:
    """Asked the same question six times, a model whose values were written into would drift."""
    reusing = PAB(**method, window=PercentRange(0.0, 1.0))
    patched = observe.hold_inputs_still(attach(toys.load(name), reusing))
    patched, answers = observe.record_answers(patched)
    toys.sample(patched, name, steps=6)
    assert last_report(patched).total_reused > 0
    for answer in answers[1:]:
        # A block's sum is rounded once more than the block itself.
        torch.testing.assert_close(answer, answers[0], rtol=1e-4, atol=1e-4)
    assert all(torch.equal(answer, answers[1]) for answer in answers[1::2])
