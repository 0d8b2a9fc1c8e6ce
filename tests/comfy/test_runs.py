"""Runs as graphs make them: parts of a run, two samplers, two methods, another cache."""

from __future__ import annotations

import cases
import comfy.ops
import host
import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from comfy_extras.nodes_easycache import EasyCacheNode
from stepcache.cache_core.decisions import TOO_OLD
from stepcache.cache_core.errors import ConfigError, RuleConflictError, UnsupportedModelError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.installation import installation_of
from stepcache.cache_core.methods import PAB, DeepCache, FasterCache, Method, TGate
from stepcache.cache_core.schedules import PercentRange

WHOLE_RUN = PercentRange(0.0, 1.0)


@cases.each_fast_case
def test_image_to_image_starts_fresh(case: cases.Case) -> None:
    patched = attach(toys.load(case.model), case.reusing())
    latent = torch.randn(toys.TOYS[case.model].latent, generator=torch.Generator().manual_seed(3))
    first = toys.sample(patched, case.model, latent=latent, denoise=0.5)
    toys.sample(patched, case.model)
    assert torch.equal(toys.sample(patched, case.model, latent=latent, denoise=0.5), first)
    for strip in (last_report(patched).strip_of(kind) for kind in last_report(patched).plans):
        assert len(strip) == 6
        assert strip[0] == "C"


@cases.each_fast_case
def test_two_samplers_in_a_row_share_nothing(case: cases.Case) -> None:
    model = toys.load(case.model)
    stage = 5

    def two_stages(patched: object) -> torch.Tensor:
        options = {"steps": 2 * stage}
        half = toys.sample(patched, case.model, last_step=stage, **options)
        assert patched is model or last_report(patched).steps == stage
        options |= {"start_step": stage, "disable_noise": True}
        return toys.sample(patched, case.model, latent=half, **options)

    patched = attach(model, case.reusing(stage))
    result = two_stages(patched)
    assert last_report(patched).total_reused > 0
    assert not last_report(patched).forced, "the second stage begins with a computed step"
    assert torch.equal(two_stages(patched), result)
    assert torch.equal(two_stages(attach(model, case.idle(stage))), two_stages(model))


def test_attaching_leaves_the_parent_alone() -> None:
    model = toys.load("sd15")
    first = attach(model, PAB(2, 2, 2, WHOLE_RUN))
    second = attach(first, DeepCache(3, 0))
    assert installation_of(model) is None
    assert [method.name for method in installation_of(first).methods] == ["Apply PAB"]
    names = [method.name for method in installation_of(second).methods]
    assert names == ["Apply PAB", "DeepCache UNet"]
    alone = toys.sample(first, "sd15")
    toys.sample(second, "sd15")
    assert torch.equal(toys.sample(first, "sd15"), alone)


def test_two_methods_on_one_model_combine() -> None:
    """DeepCache 3 leaves PAB's deep layers uncalled; what grew too old there is computed."""
    both = attach(attach(toys.load("sd15"), PAB(2, 2, 2, WHOLE_RUN)), DeepCache(3, 2))
    first = toys.sample(both, "sd15")
    report = last_report(both)
    assert report.strip_of("deep_branch") == "CRRCRR"
    assert report.strip_of("self_attention")[0] == "C"
    assert "P" in report.strip_of("self_attention")
    assert report.total_reused > 0
    assert {reason for _, reason in report.forced} == {TOO_OLD}
    assert torch.equal(toys.sample(both, "sd15"), first)


def test_the_same_method_twice_is_refused() -> None:
    once = attach(toys.load("sd15"), DeepCache(3, 0))
    with pytest.raises(RuleConflictError, match=r"DeepCache UNet: .*already carries.*remove one"):
        attach(once, DeepCache(2, 5))


def test_a_branch_beyond_the_model_names_the_range() -> None:
    with pytest.raises(ConfigError, match=r"branch 12 does not exist.*0 … 11"):
        attach(toys.load("sd15"), DeepCache(3, 12))
    with pytest.raises(ConfigError, match=r"branch 9 does not exist.*0 … 8"):
        attach(toys.load("sdxl"), DeepCache(3, 9))


def test_another_cache_that_skips_the_model_only_makes_us_compute() -> None:
    """EasyCache answers for whole evaluations; a value it kept us from computing is not missed."""
    model = toys.load("wan")
    eager = {"reuse_threshold": 3.0, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}
    easy = EasyCacheNode.execute(model=model, **eager).result[0]
    both = attach(easy, PAB(2, 2, 2, WHOLE_RUN))
    first = toys.sample(both, "wan", steps=12)
    strip = last_report(both).strip_of("self_attention")
    assert "." in strip, "EasyCache must have skipped something for this to be a test"
    assert torch.equal(toys.sample(both, "wan", steps=12), first)


def test_kinds_that_the_model_lacks_are_noted() -> None:
    patched = attach(toys.load("wan"), PAB())
    toys.sample(patched, "wan")
    assert last_report(patched).notes == [
        "Apply PAB: this model has no temporal_attention; that range has no effect",
    ]


@pytest.mark.parametrize("method", [TGate(3, 0), FasterCache()], ids=lambda method: method.name)
def test_a_setting_for_two_kinds_needs_only_one_of_them(method: Method) -> None:
    patched = attach(toys.load("wan"), method)
    toys.sample(patched, "wan")
    assert not any("temporal" in note for note in last_report(patched).notes)


def test_a_guider_that_bypasses_the_announcement_is_still_timed() -> None:
    """Some packs' guiders predict without the host's wrapper; the sigma is in the options."""
    patched = attach(toys.load("wan"), PAB(2, 2, 3, WHOLE_RUN))
    expected = toys.sample(patched, "wan")
    unannounced = patched.clone()
    unannounced.wrappers[WrappersMP.PREDICT_NOISE] = {}
    assert torch.equal(toys.sample(unannounced, "wan"), expected)
    assert last_report(unannounced).strip_of("self_attention") == "CRCRCR"


def test_a_model_with_state_in_its_attention_is_refused() -> None:
    autoregressive = host.module("comfy.ldm.wan.ar_model", "autoregressive Wan")
    model = toys.TOYS["wan"].make()
    layout = {k: v for k, v in toys.wan_config().unet_config.items() if k != "image_model"}
    model.model.diffusion_model = autoregressive.CausalWanModel(
        **layout, dtype=torch.float32, device=toys.CPU, operations=comfy.ops.disable_weight_init
    )
    with pytest.raises(
        UnsupportedModelError, match=r"Apply PAB: .*CausalWanModel.*keys and values"
    ):
        attach(model, PAB())
