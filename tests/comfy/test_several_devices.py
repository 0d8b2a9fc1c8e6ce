"""The host's division of a batch among devices: the same picture as on one, in every method."""

from __future__ import annotations

from typing import Any

import cases
import pytest
import torch
import toys
from cases import Case
from stepcache.cache_core.host import attach, last_report

SECOND = torch.device("cpu", 1)
"""Another device to the host, with the processor's memory."""


def divided(model: Any, name: str) -> Any:
    """What the host's node for several devices makes: a second network, on a device of its own."""
    clone = model.clone()
    twin = toys.TOYS[name].make().model
    second = clone.clone(model_override=(twin, ({}, {}, {}, set())))
    second.load_device = SECOND
    second.is_multigpu_base_clone = True
    clone.set_additional_models("multigpu", [second])
    clone.match_multigpu_clones()
    return clone


MODELS = {
    "wan": ("PAB", "PAB blocks", "FasterCache", "FasterCache attention", "TGate", "SmoothCache"),
    "sd15": ("TGate", "DeepCache"),
}
CASES = [cases.MORE_BUILDERS[method](name) for name, each in MODELS.items() for method in each]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_picture_on_two_devices(case: Case) -> None:
    model = attach(toys.load(case.model), case.reusing())
    one = toys.sample(model, case.model)
    counts = last_report(model).to_dict()["kinds"]
    both = divided(model, case.model)
    asked: list[torch.device] = []
    both.model_options["model_function_wrapper"] = lambda apply, given: (
        asked.append(given["c"]["transformer_options"]["multigpu_thread_device"]),
        apply(given["input"], given["timestep"], **given["c"]),
    )[1]
    two = toys.sample(both, case.model)
    assert set(asked) == {toys.CPU, SECOND}
    assert last_report(model).to_dict()["kinds"] == counts
    assert not last_report(model).forced
    # As for law 6: kernels differ by rounding between a batch of one and of two.
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-3 * one.std().item())
