"""After a run the strip says what another setting will take and keep."""

from __future__ import annotations

import re

from frontend import FrontEnd

EXPECTED = re.compile(r"expected by the last run: (\d+\.\d+)× faster, (\d+\.\d) MiB kept")


def expected(ui: FrontEnd) -> tuple[float, float] | None:
    """Speedup and MiB, once the strip says them."""
    found = EXPECTED.search(ui.strip()["below"])
    return (float(found[1]), float(found[2])) if found else None


def test_moving_a_slider_after_a_run_tells_what_to_expect(ui: FrontEnd) -> None:
    ui.show("unet_deepcache")
    assert expected(ui) is None, "nothing is known of this model yet"
    ui.set("KSampler", "steps", 12)
    ui.queue()
    ui.wait_for(lambda: "MiB" in ui.strip()["below"])
    ui.set("StepCacheDeepCacheUNet", "interval", 6)
    often = ui.wait_for(lambda: expected(ui))
    ui.set("StepCacheDeepCacheUNet", "interval", 2)
    seldom = ui.wait_for(lambda: (found := expected(ui)) != often and found)
    assert often[0] > seldom[0], "fewer whole steps are faster"
    assert often[1] == seldom[1] > 0, "and keep as much"
    ui.set("StepCacheDeepCacheUNet", "branch", 1)
    ui.wait_for(lambda: expected(ui) is None)  # Nothing was seen of this branch.


def test_what_was_seen_of_one_model_is_not_told_of_another(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    ui.set("KSampler", "steps", 8)
    ui.queue()
    ui.wait_for(lambda: "MiB" in ui.strip()["below"])
    ui.set("StepCacheApplyPAB", "self_attention", 3)
    ui.wait_for(lambda: "expected by the last run" in ui.strip()["below"])
    ui.set("UNETLoader", "weight_dtype", "fp8_e4m3fn")
    ui.wait_for(lambda: "expected by the last run" not in ui.strip()["below"])
