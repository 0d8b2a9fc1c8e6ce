"""What the browser is given: small, of our own, and without anything that a string could become."""

from __future__ import annotations

import re
from pathlib import Path

import pack

import pytest

WEB = pack.ROOT / "web"
SCRIPTS = sorted(WEB.rglob("*.js"))
MAX_BYTES = 40 * 1024
BUILDS_HTML = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser")
BUILDS_CODE = ("eval(", "new Function", "import(", 'createElement("script', "srcdoc", "javascript:")
ASKS_SERVERS = ("fetch(", "XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon")
OF_ANOTHER_SERVER = re.compile(r"\.src = (?!api\.apiURL\()")
FORCES_LAYOUT = ("offsetHeight", "offsetWidth", "clientHeight", "clientWidth", "getComputedStyle",
                 "scrollHeight", "scrollWidth", "getBoundingClientRect")  # fmt: skip
THE_FRONT_ENDS = {"/scripts/api.js", "/scripts/app.js"}
NAME_SPACE = "http://www.w3.org/2000/svg"


def faults_of(text: str) -> list[str]:
    """What is in a script that must not be."""
    found = [word for word in (*BUILDS_HTML, *BUILDS_CODE, *ASKS_SERVERS) if word in text]
    addresses = re.findall(r"(?:\bhttps?:|\bwss?:)?//[\w.-]+\.\w+[^\s\"'`]*", text)
    found += [address for address in addresses if address != NAME_SPACE]
    found += OF_ANOTHER_SERVER.findall(text)
    imported = re.findall(r"\b(?:from|import)\s+\"([^\"]+)\"", text)
    neighbours = {f"./{script.name}" for script in SCRIPTS}
    return found + [name for name in imported if name not in neighbours | THE_FRONT_ENDS]


@pytest.mark.parametrize("word", FORCES_LAYOUT)
def test_no_script_makes_the_browser_lay_out_the_page_at_once(word: str) -> None:
    """For fifty nodes, one after the other, that took 0.4 s in Nodes 2.0."""
    assert not [script.name for script in SCRIPTS if word in script.read_text(encoding="utf-8")]


def test_all_scripts_together_are_small() -> None:
    assert SCRIPTS
    assert sum(script.stat().st_size for script in SCRIPTS) < MAX_BYTES


def test_there_is_nothing_to_build_and_nothing_of_others() -> None:
    kinds = {file.suffix for file in WEB.rglob("*") if file.is_file()}
    assert kinds <= {".js", ".md", ".jpg", ".png"}
    assert max(len(line) for script in SCRIPTS for line in _lines(script)) <= 120


def _lines(script: Path) -> list[str]:
    return script.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_no_script_builds_html_or_asks_another_server(script: Path) -> None:
    assert faults_of(script.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "element.innerHTML = title;",
        "new Function(title)();",
        'fetch("/prompt");',
        'picture.src = "x";',
        'const at = "https://example.org/a.js";',
        'const at = "//example.org/a.js";',
        'import { a } from "https://example.org/a.js";',
        'import {\n  a,\n} from "vue";',
        'import "./missing.js";',
        'export { a } from "vue";',
        'const a = await import("./strip_view.js");',
    ],
)
def test_the_search_would_find_it(text: str) -> None:
    assert faults_of(text)


def test_the_only_addresses_are_the_route_of_the_pack_and_translations() -> None:
    route = re.search(r'^PATH = "(.+)"$', _read("previews/routes.py"), re.MULTILINE)
    event = re.search(r'^EVENT = "(.+)"$', _read("previews/live.py"), re.MULTILINE)
    text = "".join(script.read_text(encoding="utf-8") for script in SCRIPTS)
    assert route is not None and event is not None
    assert set(re.findall(r"\bfetchApi\(([^,)]+)", text)) == {"ROUTE", '"/i18n"'}
    assert re.findall(r'^const ROUTE = "(.+)";$', text, re.MULTILINE) == [route[1]]
    assert re.findall(r'^const EVENT = "(.+)";$', text, re.MULTILINE) == [event[1]]


def _read(name: str) -> str:
    return (pack.ROOT / name).read_text(encoding="utf-8")
