"""What nodes show while they work, in other languages: all of it, of today's English."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pack

import pytest
import texts

LANGUAGES = sorted(path.name for path in (pack.ROOT / "locales").iterdir() if path.is_dir())

WHOLE = (
    "cache_core/decisions.py", "cache_core/effort.py", "cache_core/report.py",
    "cache_core/rules.py", "cache_core/calibration/choose.py", "cache_core/methods/deepcache.py",
    "cache_core/methods/fastercache.py", "cache_core/methods/method.py",
    "cache_core/methods/pab.py", "cache_core/methods/smoothcache.py",
    "cache_core/methods/step_cache.py", "cache_core/methods/tgate.py",
    "cache_core/host/*.py", "cache_core/host/compatibility/*.py", "cache_core/host/families/*.py",
    "cache_core/host/evaluation/*.py", "cache_core/host/intercept/*.py",
    "cache_core/host/calibration_run/measuring.py", "previews/library.py", "previews/preview.py",
    "torch_settings/*.py",
)  # fmt: skip
"""Modules of which every sentence is shown: in a strip, or in the report."""

REFUSALS = (
    "cache_core/schedules.py", "cache_core/s_curve.py", "cache_core/non_uniform.py",
    "cache_core/advisor.py", "cache_core/calibration/planning.py",
    "cache_core/calibration/scan.py", "cache_core/calibration/study.py",
    "cache_core/calibration/table.py", "cache_core/methods/dit_xl.py",
    "cache_core/methods/presets.py", "nodes/*.py",
)  # fmt: skip
"""Modules of which what their errors say is shown."""

NOT_SHOWN = {
    # Samplers by their sort, and other nodes by their name.
    "one step", "high order", "adds noise", "chooses its steps", "CFG++ of EPS",
    "Apply First Block Cache", "Deep Cache", "TGate Apply",
    # In the output "text" alone.
    "C computed   R forecast", "Runs of {0} steps or fewer lose much: there, sample fewer steps "
    "instead.", "{0} steps: {1} run the model  {2}",
    "weights: {0} ({1} MiB); the host computes in {2} on {3}",
    "on this processor ({0}) float32 may be faster than {1}: start ComfyUI with --fp32-unet and "
    "compare", "bfloat16 (--bf16-unet)", "float16 (--fp16-unet)",
    "this device has faster hardware for {0} than for float32",
    "this device has hardware for 8-bit numbers: weight_dtype fp8_e4m3fn_fast in Load Diffusion "
    "Model may be faster still, and is less exact",
    # Part of the settings of a method or a node, which are a list.
    "{0}, calibration {1})", "{0} (dynamic {1})", "{0} (products {1}, sums {2})",
    # As menus show them.
    "as it is", "float32 in full", "in full", "stop with a message", "int8 all the same",
    # In the words of PyTorch and comfy-kitchen.
    "No available kernel", "No viable backend", ". Guard failed on", "comfy-kitchen {0}, {1}",
    # Caught: what is shown says that it happened.
    "noise levels of shape {0} and {1}", "a noise level of {0}",
    "latents of {0} × picture + {1} × noise",
}  # fmt: skip

STYLE = re.compile(r"\dpx|var\(")
PLACE = re.compile(r"\{\d+\}")

every_language = pytest.mark.parametrize("language", LANGUAGES)


def catalog(language: str) -> dict[str, str]:
    path = pack.ROOT / "locales" / language / "main.json"
    return json.loads(path.read_text(encoding="utf-8"))["stepcache"]


def modules(patterns: tuple[str, ...]) -> list[Path]:
    found = [sorted(pack.ROOT.glob(pattern)) for pattern in patterns]
    assert all(found), "a pattern that finds no module"
    return [path for paths in found for path in paths]


@cache
def shown() -> dict[str, str]:
    """Every text that has to be translated, and where it stands."""
    whole = [(path, texts.sentences(path)) for path in modules(WHOLE)]
    refusals = [(path, texts.refusals(path)) for path in modules(REFUSALS)]
    scripts = [(path, said_by(path)) for path in modules(("web/js/*.js",))]
    return {
        text: path.name
        for path, found in (*whole, *refusals, *scripts)
        for text in found - NOT_SHOWN
    }


@cache
def said() -> set[str]:
    """Every text that stands in the sources."""
    folders = ("cache_core", "nodes", "previews", "torch_settings", "audit")
    sources = [path for folder in folders for path in (pack.ROOT / folder).rglob("*.py")]
    scripts = modules(("web/js/*.js",))
    return set[str]().union(*map(texts.python_texts, sources), *map(texts.script_texts, scripts))


def said_by(script: Path) -> set[str]:
    found = texts.script_texts(script)
    return {text for text in found if texts.is_sentence(text) and not STYLE.search(text)}


@every_language
def test_everything_that_is_shown_is_translated(language: str) -> None:
    own = catalog(language)
    missing = {text: module for text, module in shown().items() if text not in own}
    assert not missing, f"translate these in locales/{language}/main.json"


@every_language
def test_what_was_translated_is_what_the_sources_say(language: str) -> None:
    gone = sorted(catalog(language).keys() - said())
    assert not gone, f"locales/{language}/main.json: no source says this any more"


@every_language
def test_places_are_those_of_the_english(language: str) -> None:
    for english, own in catalog(language).items():
        assert set(PLACE.findall(own)) == set(PLACE.findall(english)), english


def test_all_languages_translate_the_same() -> None:
    first, *others = map(catalog, LANGUAGES)
    assert all(first.keys() == other.keys() for other in others)
