"""What the browser is given: small, of our own, and without anything that a string could become."""

from __future__ import annotations

import re

import pack
import pytest

SCRIPTS = sorted((pack.ROOT / "web" / "js").glob("*.js"))
MOST_BYTES = 40 * 1024


def test_all_scripts_together_are_small() -> None:
    assert SCRIPTS
    assert sum(script.stat().st_size for script in SCRIPTS) < MOST_BYTES


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_no_script_builds_html_or_asks_another_server(script: object) -> None:
    text = script.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert forbidden not in text
    addresses = set(re.findall(r"https?://[^\s\"'`]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}, "a name space, no request"
    for imported in re.findall(r"from \"([^\"]+)\"", text):
        assert imported.startswith(("./", "/scripts/"))
