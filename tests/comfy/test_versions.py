"""What is skipped on an older ComfyUI is what that version cannot do."""

from __future__ import annotations

import host
import pytest
import toys
import zoo

LACKING = (AttributeError, ModuleNotFoundError, TypeError, ValueError, RuntimeError)


def _skipped() -> list[str]:
    names = []
    for name, age in zoo.SINCE.items():
        try:
            host.skip_if_older(*age)
        except pytest.skip.Exception:
            names.append(name)
    return names


def test_what_is_skipped_for_its_age_cannot_be_sampled() -> None:
    for name in _skipped():
        with pytest.raises(LACKING):
            model = toys.TOYS[name].make()
            toys.sample(model, name, steps=1)
            toys.sample(model, name, steps=1, cfg=1.0)


def test_only_tiny_models_that_there_are_have_an_age() -> None:
    assert zoo.SINCE.keys() <= toys.TOYS.keys()


def test_a_module_that_is_there_and_fails_is_not_skipped() -> None:
    assert host.module("comfy.sample", "sampling").sample
    with pytest.raises(pytest.skip.Exception, match="Nothing is younger than ComfyUI"):
        host.module("comfy.no_such_module", "Nothing")
    with pytest.raises(pytest.skip.Exception, match="the node Nothing is younger"):
        host.node("nodes_freelunch", "Nothing")
