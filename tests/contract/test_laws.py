"""The nine laws of ARCHITECTURE.md, for every method on every family that it works on."""

from __future__ import annotations

from itertools import cycle

import cases
import observe
import promises
import pytest
import torch
import toys
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.installation import KEY


@cases.each_case
def test_law_1_reusing_nothing_is_bit_identical(case: cases.Case) -> None:
    patched = attach(toys.load(case.model), case.idle())
    assert torch.equal(toys.sample(patched, case.model), toys.plain(case.model))
    assert last_report(patched).total_reused == 0


@cases.each_case_that_keeps_answers
def test_law_2_the_same_question_gets_the_same_answer(case: cases.Case) -> None:
    patched = observe.hold_inputs_still(attach(toys.load(case.model), case.reusing()))
    patched, answers = observe.record_answers(patched)
    toys.sample(patched, case.model)
    assert last_report(patched).total_reused > 0
    assert len(answers) == 6
    if case.is_exact:
        assert all(torch.equal(answer, answers[0]) for answer in answers)
    else:
        # The sum of what a row of blocks adds is rounded once per block, and where it is given once
        # more; each time by up to 2^-24 of it. Guidance and noise level make a hundred times that.
        for answer in answers:
            close = 22 * 2**-24 * 100 * answer.std().item()
            assert (answer - answers[0]).abs().max().item() <= close


@cases.each_case_of_one_method
def test_law_3_a_run_depends_on_no_other_run(case: cases.Case) -> None:
    patched = attach(toys.load(case.model), case.reusing())
    first = toys.sample(patched, case.model)
    size = 2 * toys.TOYS[case.model].latent[-1]
    steps = promises.STEPS if case.has_one_length else 3
    toys.sample(patched, case.model, steps=steps, size=size)
    toys.sample(patched, case.model, steps=steps, batch=2)
    toys.sample(patched, case.model, steps=steps, cfg=1.0)
    toys.sample(
        patched, case.model, steps=steps, sampler="heun",
        conds=toys.conditioning(case.model, seed=9),
    )  # fmt: skip
    assert torch.equal(toys.sample(patched, case.model), first)


@cases.each_case
def test_law_4_the_unpatched_model_is_untouched(case: cases.Case) -> None:
    model = toys.load(case.model)
    before, marks = toys.plain(case.model), observe.fingerprint(model)
    patched = attach(model, case.reusing())
    reused = toys.sample(patched, case.model)
    assert not torch.equal(reused, before), "the settings must have an effect to be tested"
    assert observe.fingerprint(model) == marks
    assert KEY not in model.model_options["transformer_options"]
    assert torch.equal(toys.sample(model, case.model), before)


@cases.each_case
def test_law_5_counts_equal_the_plan(case: cases.Case) -> None:
    model = toys.load(case.model)
    patched = attach(model, case.reusing())
    toys.sample(patched, case.model)
    report = last_report(patched)
    # A few layers run more than once per pass: stage B of Stable Cascade repeats some of its own.
    calls = observe.calls_per_pass(model, lambda: toys.sample(model, case.model, steps=1, cfg=1.0))
    installation = patched.model_options["transformer_options"][KEY]
    if installation.cache_fill is not None:
        calls.clear()  # Half of those were for the network's own cache, and are no site's.
    sites = {kind: 0 for kind in report.plans}
    for site in installation.assigned:
        sites[site.kind.value] += max(1, calls[site.path]) if site.path else 1
    # Guidance is one question per step; elsewhere a step of one branch asks once, others twice.
    guidance = report.plans.get("guidance", "C" * report.steps)
    streams = [1 if letter == "R" else 2 for letter in guidance]
    for kind, plan in report.plans.items():
        assert report.strip_of(kind) == plan
        asked = {"guidance": [1] * report.steps}.get(kind, streams)
        counted = report.to_dict()["kinds"][kind]
        for letter, name in (("C", "computed"), ("R", "reused")):
            expected = sum(n for n, planned in zip(asked, plan, strict=True) if planned == letter)
            if "P" not in plan:
                assert counted[name] == expected * sites[kind]
    assert not report.forced


@cases.each_case_of_one_method
def test_law_6_batching_of_cond_and_uncond_does_not_matter(case: cases.Case) -> None:
    patched = attach(toys.load(case.model), case.reusing())
    with observe.memory_for(lambda: True):
        together = toys.sample(patched, case.model)
    counts = last_report(patched).to_dict()["kinds"]
    alternating = cycle([True, False, False])
    for batched in (lambda: False, lambda: next(alternating)):
        with observe.memory_for(batched):
            apart = toys.sample(patched, case.model)
        # Kernels differ between batch 1 and 2 by up to 2e-5 per call (measured by the host's own
        # unpatched model); six steps of a random network amplify that.
        torch.testing.assert_close(apart, together, rtol=1e-3, atol=1e-3 * together.std().item())
        assert last_report(patched).to_dict()["kinds"] == counts


@pytest.mark.parametrize(("method", "name"), cases.REFUSALS, ids=lambda v: getattr(v, "name", v))
def test_law_8_what_cannot_work_is_refused_in_words(method: object, name: str) -> None:
    model = toys.load(name)
    options = dict(model.model_options["transformer_options"])
    with pytest.raises(StepCacheError) as refusal:
        attach(model, method)
    words = str(refusal.value)
    assert words.startswith(method.name)
    assert type(model.model.diffusion_model).__name__ in words
    remedies = ("Apply PAB", "Apply FasterCache", "Step Cache works", "past this node")
    assert any(remedy in words for remedy in remedies)
    assert model.model_options["transformer_options"] == options


@cases.each_case_of_one_method
def test_law_9_a_run_without_reuse_says_why(case: cases.Case) -> None:
    patched = attach(toys.load(case.model), case.idle(2))
    toys.sample(patched, case.model, steps=2)
    report = last_report(patched)
    assert "plan no reuse" in report.nothing_reused_because
    assert report.nothing_reused_because in report.summary()
    working = attach(toys.load(case.model), case.reusing())
    toys.sample(working, case.model)
    assert last_report(working).nothing_reused_because is None


@cases.each_loaded_model
def test_laws_1_2_and_4_hold_on_models_out_of_the_hosts_loader(case: cases.Case) -> None:
    test_law_1_reusing_nothing_is_bit_identical(case)
    test_law_4_the_unpatched_model_is_untouched(case)
    if case.keeps_answers:
        test_law_2_the_same_question_gets_the_same_answer(case)


@cases.each_variant
def test_laws_1_2_and_4_hold_on_every_variant(case: cases.Case) -> None:
    test_laws_1_2_and_4_hold_on_models_out_of_the_hosts_loader(case)


@cases.each_unet_variant
def test_laws_1_and_2_hold_on_every_unet(case: cases.Case) -> None:
    test_law_1_reusing_nothing_is_bit_identical(case)
    if case.keeps_answers:
        test_law_2_the_same_question_gets_the_same_answer(case)
