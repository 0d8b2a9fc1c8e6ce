"""Node "Speed Audit": the same picture, what stands on it, and what is promised."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import folder_paths
import observe
import pytest
import torch
import toys
from clocks import counted_time
from comfy.model_management import InterruptProcessingException
from foreign import of_no_family
from stepcache import torch_settings
from stepcache.audit import advice, caches, settings
from stepcache.audit.interleaved_runs import Rounds
from stepcache.cache_core.calibration import Study
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import attach, attached, last_report
from stepcache.cache_core.methods import PAB, Calibrate, StepCache
from stepcache.cache_core.schedules import PercentRange
from stepcache.nodes.extension import NODES
from stepcache.nodes.speed_audit import SUGGESTED, SpeedAudit

STEPS = 4
WHOLE = PercentRange(0.0, 1.0)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where previews are written; and few repetitions, as what is timed is counted."""
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    monkeypatch.setattr("stepcache.audit.ab_test.MIN_ROUNDS", 1)
    monkeypatch.setattr("stepcache.audit.ab_test.MAX_ROUNDS", 1)
    monkeypatch.setattr("stepcache.audit.interleaved_runs.MAX_ROUNDS", 1)
    monkeypatch.setattr("stepcache.audit.caches.MAX_STEPS", 5)
    monkeypatch.setattr("comfy.utils.PROGRESS_BAR_ENABLED", False)


def audit(model: Any, name: str, **inputs: Any) -> Any:
    positive, negative = toys.conditioning(name)
    given = {
        "positive": positive, "negative": negative, "seed": 1, "steps": STEPS, "cfg": 3.0,
        "latent_image": {"samples": toys.TOYS[name].empty(1, None)}, "sampler_name": "euler",
        "scheduler": "simple", "measure_cache": False,
    }  # fmt: skip
    with counted_time(), torch.inference_mode():
        return SpeedAudit.execute(model=model, **{**given, **inputs}).result


def patched(name: str) -> Any:
    return attach(
        torch_settings.apply(toys.load(name), torch_settings.AttentionBackend("auto")),
        PAB(2, 1, 2, WHOLE),
    )


@pytest.mark.parametrize(
    ("name", "has_nodes", "sampler"),
    [
        ("wan", True, "dpmpp_2m_sde"),
        ("flux", False, "heun"),
    ],
)
def test_the_picture_is_that_of_the_sampler(name: str, has_nodes: bool, sampler: str) -> None:
    model = patched(name) if has_nodes else toys.load(name)
    expected = toys.sample(model, name, steps=STEPS, sampler=sampler)
    marks, options = observe.fingerprint(model), set(model.model_options["transformer_options"])
    latent, text, data, drawn = audit(
        model, name, sampler_name=sampler, measure_cache=name != "flux"
    )
    assert torch.equal(latent["samples"], expected)
    assert torch.equal(toys.sample(model, name, steps=STEPS, sampler=sampler), expected)
    assert observe.fingerprint(model) == marks
    assert set(model.model_options["transformer_options"]) == options
    found = json.loads(data)
    assert found["version"] == 1 and found["steps"] == STEPS
    assert sum(found["parts"].values()) == pytest.approx(1.0, abs=1e-3)
    assert min(found["parts"].values()) >= 0
    assert found["profile_reason"] is None and found["heard_reason"] is None
    assert found["attention"] and found["products"] and found["peak_bytes"] > 2**20
    assert found["has_two_branches"] and found["evaluations"] >= STEPS
    assert len(found["attached"]) == 2 * has_nodes
    assert drawn.shape[2] == 1024
    assert all(f"blocks {row}" in text for row, of in found["blocks"].items() if of["share"] > 0.02)
    assert [row for row, of in found["blocks"].items() if of["share"] > 0.02], "blocks are known"


def test_what_is_recommended_is_there_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that was tried, however little it gained."""
    monkeypatch.setattr("stepcache.audit.audit.MIN_GAIN", 0.0)
    monkeypatch.setattr(settings, "MOSTLY", 0.0)
    latent, text, data, _ = audit(toys.load("sdxl"), "sdxl", steps=12)
    assert torch.equal(latent["samples"], toys.sample(toys.load("sdxl"), "sdxl", steps=12))
    found = json.loads(data)
    names = {node.define_schema().display_name for node in NODES}
    lines = re.findall(r"^\d\. .*", text, re.MULTILINE)
    assert 3 <= len(lines) == len(found["recommendations"]) <= 5
    gains = [each["gain"] for each in found["recommendations"]]
    assert gains == sorted(gains, reverse=True)
    for line, each in zip(lines, found["recommendations"], strict=True):
        assert each["node"] in names
        what = f"{each['node']}, {each['setting']}" if each["setting"] else each["node"]
        shown = re.search(r": about ([\d.]+)x as fast \(", line)
        # Both are rounded, to two places and to four, and each from what was measured.
        assert float(shown[1]) == pytest.approx(each["gain"], abs=0.0051)
        assert f". {what}: about {shown[1]}x as fast ({each['how']}). " in line
    nodes = [each["node"] for each in found["recommendations"]]
    assert len(caches_by_name() & set(nodes)) == 1, "two of them would claim the same layers"
    assert {"Attention Backend", "Fused Projections"} < set(nodes)
    assert "DeepCache UNet (as it comes)" in found["tried"]
    assert found["caching"]["kinds"].keys() >= {"block", "deep_branch-0", "self_attention"}
    assert 0 < found["caching"]["still"] <= 1


def test_what_gains_too_little_is_not_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepcache.audit.audit.MIN_GAIN", 1e6)
    monkeypatch.setattr(advice, "MIN_GAIN", 1e6)
    _, text, data, _ = audit(toys.load("wan"), "wan", steps=2, measure_cache=True)
    found = json.loads(data)
    assert found["recommendations"] == [] and len(found["tried"]) > 3
    assert f"Nothing to recommend: of {len(found['tried'])} settings that were tried" in text


def test_a_run_that_reuses_is_told_and_its_own_method_is_not_advised() -> None:
    model = patched("wan")
    _, text, data, _ = audit(model, "wan", steps=12)
    found = json.loads(data)
    assert last_report(model).total_reused > 0 and len(last_report(model).plans) > 0
    assert found["reuse"] == pytest.approx(last_report(model).measured_speedup, abs=1e-3)
    assert f"reuse makes it {found['reuse']:.2f}x as fast" in text
    assert "Attention Backend" not in " ".join(found["tried"]), "it is set already"
    for each in found["recommendations"]:
        if each["node"] in caches_by_name():
            assert each["caution"].startswith("In place of what reuses now.")
    assert len(attached(model)) == 1, "the model that came in is not changed"


def test_whole_evaluations_are_audited_on_a_network_of_no_known_family_too() -> None:
    steps = 8
    for model in (toys.load("sd15"), of_no_family()):
        model = attach(model, StepCache(2.0))
        expected = toys.sample(model, "sd15", steps=steps)
        latent, text, data, _ = audit(model, "sd15", steps=steps, measure_cache=True)
        assert torch.equal(latent["samples"], expected)
        found = json.loads(data)
        assert found["attached"] == [StepCache(2.0).describe()]
        assert found["reuse"] is not None and StepCache.name in text
    assert observe.stored_bytes() == 0


def test_the_next_audit_says_what_following_gained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the model without nodes of this pack, by turns; and what a line adds to that."""
    monkeypatch.setattr("stepcache.audit.audit.MIN_GAIN", 0.0)
    monkeypatch.setattr(advice, "MIN_GAIN", 0.0)
    monkeypatch.setattr("stepcache.audit.interleaved_runs.MOSTLY", 0.0)
    seen: list[tuple[int, int]] = []
    against = Rounds.against

    def watched(rounds: Rounds, others: Any, **given: Any) -> Any:
        for other in others.values():
            seen.append((len(attached(other)), len(torch_settings.settings_of(other))))
        return against(rounds, others, **given)

    monkeypatch.setattr(Rounds, "against", watched)
    _, text, data, _ = audit(patched("wan"), "wan", steps=12, measure_cache=True)
    found = json.loads(data)
    assert (0, 0) in seen, "beside the model without anything"
    assert f"{found['gained']:.2f}x as fast as without (measured by turns)" in text
    lines = re.findall(r"^\d\. .* about ([\d.]+)x .* In all then ([\d.]+)x\.$", text, re.MULTILINE)
    assert len(lines) == len(found["recommendations"]) > 0
    for gain, (_, in_all) in zip(found["recommendations"], lines, strict=True):
        assert float(in_all) == pytest.approx(found["gained"] * gain["gain"], abs=0.0051)
    bare = json.loads(audit(toys.load("wan"), "wan", measure_cache=True)[2])
    assert bare["gained"] == 1.0, "nothing is attached"
    assert json.loads(audit(patched("wan"), "wan")[2])["gained"] is None, "it may not draw more"


def caches_by_name() -> set[str]:
    return set(SUGGESTED)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_shortest_runs_are_audited(steps: int) -> None:
    latent, text, data, _ = audit(toys.load("wan"), "wan", steps=steps)
    assert torch.equal(latent["samples"], toys.sample(toys.load("wan"), "wan", steps=steps))
    assert (caches.NO_STEPS in text) == (steps == 1)
    assert json.loads(data)["evaluations"] == steps


def test_a_model_that_is_calibrated_is_refused_before_anything_is_saved() -> None:
    saved: list[Any] = []
    study = Study(deliver=lambda calibration: (saved.append(calibration) or calibration, ()))
    model = attach(toys.load("wan"), Calibrate(study))
    with pytest.raises(StepCacheError, match="Speed Audit: SmoothCache Calibrate is attached to"):
        audit(model, "wan")
    assert not saved and last_report(model) is None, "nothing was sampled"


def test_a_run_without_steps_is_refused() -> None:
    with pytest.raises(StepCacheError, match="Speed Audit: the sampler never called the model"):
        audit(toys.load("wan"), "wan", denoise=0.0)


@pytest.mark.parametrize("call", [1, 2, 5, 9, 14, 24])
def test_an_interrupt_leaves_nothing_wherever_it_comes(call: int) -> None:
    """While it is listened to, profiled, tried, calibrated, and in the run itself."""
    plain = toys.load("wan")
    expected, marks = toys.sample(plain, "wan", steps=STEPS), observe.fingerprint(plain)
    precision = torch.get_float32_matmul_precision()
    model, calls = plain.clone(), 0

    def interrupt(apply: Any, given: dict[str, Any]) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise InterruptProcessingException
        return apply(given["input"], given["timestep"], **given["c"])

    model.set_model_unet_function_wrapper(interrupt)
    with pytest.raises(InterruptProcessingException):
        audit(model, "wan")
    assert calls == call
    assert not torch.autograd._profiler_enabled()
    assert not torch.utils._python_dispatch._get_current_dispatch_mode_stack()
    assert torch.get_float32_matmul_precision() == precision
    assert observe.fingerprint(plain) == marks
    assert torch.equal(toys.sample(plain, "wan", steps=STEPS), expected)


def test_a_network_without_known_layers_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    looking = sys.modules["stepcache.cache_core.host.compatibility.model_info"]
    monkeypatch.setattr(looking, "family_of", lambda network: None)
    monkeypatch.setattr(looking, "family_by_structure", lambda network: None)
    _, text, data, _ = audit(toys.load("wan"), "wan")
    found = json.loads(data)
    assert "shows no row of equal blocks" in found["caching"]["reason"]
    assert found["blocks"]["blocks"]["count"] == 3, "blocks are found by structure"
    assert f"caching: {found['caching']['reason']}" in text
