"""Names and tooltips in other languages: all of a node's or none, and none that does not exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pack

import locale_sources
import pytest
from comfy_api.latest import io
from stepcache.nodes.extension import NODES

SCRIPTS = {"zh": ("一", "鿿"), "ja": ("ぁ", "鿿"), "ko": ("가", "힣")}
"""First and last sign of what each language is written in."""
THE_SAME = {"DeepCache UNet", "JSON", "PSNR", "SSIM"}
"""Names that stay as they are."""
SYNTAX = set("@{}|")
"""Signs with a meaning in messages of the front end's vue-i18n."""

SCHEMAS = {schema.node_id: schema for schema in (node.define_schema() for node in NODES)}
every_language = pytest.mark.parametrize("language", SCRIPTS)


def names_of(language: str) -> dict[str, Any]:
    path = pack.ROOT / "locales" / language / "nodeDefs.json"
    return json.loads(path.read_text(encoding="utf-8"))


def ports_of(language: str) -> Iterator[tuple[str, io.Input | io.Output, dict[str, str]]]:
    """Every input and output: where it is, what it is, and its words in that language."""
    names = names_of(language)
    for node, words in names.items():
        for port in SCHEMAS[node].inputs:
            yield f"{node}.{port.id}", port, words["inputs"][port.id]
        for number, port in enumerate(SCHEMAS[node].outputs):
            yield f"{node}.{number}", port, words["outputs"][str(number)]


def words_of(language: str) -> Iterator[str]:
    """Everything that is said in that language."""
    for node in names_of(language).values():
        yield node["display_name"]
        yield node["description"]
        for port in (*node["inputs"].values(), *node["outputs"].values()):
            yield from port.values()


def leaves_of(words: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text, and where it is."""
    if isinstance(words, dict):
        for key, each in words.items():
            yield from leaves_of(each, f"{place}.{key}" if place else key)
    else:
        yield place, words


@every_language
def test_every_input_and_output_of_a_translated_node_has_a_name(language: str) -> None:
    """A node that nobody has translated yet is shown in English."""
    names = names_of(language)
    assert names.keys() <= SCHEMAS.keys()
    for node, words in names.items():
        assert words.keys() == {"display_name", "description", "inputs", "outputs"}
        assert list(words["inputs"]) == [each.id for each in SCHEMAS[node].inputs]
        assert list(words["outputs"]) == [str(n) for n in range(len(SCHEMAS[node].outputs))]
    assert all(words["name"] for _, _, words in ports_of(language))


@every_language
def test_what_was_translated_is_what_nodes_say_today(language: str) -> None:
    path = locale_sources.path_of(language)
    translated = dict(leaves_of(json.loads(path.read_text(encoding="utf-8"))))
    known = locale_sources.translated(language)
    english = {node: words for node, words in locale_sources.english().items() if node in known}
    today = dict(leaves_of(english))
    places = sorted(set(translated.items()) ^ set(today.items()))
    changed = ", ".join(dict.fromkeys(place for place, _ in places))
    run = f"python scripts/locale_sources.py {language}"
    assert not places, f"translate {changed} in nodeDefs.json, then run {run}"


@every_language
def test_every_tooltip_is_translated_and_no_other(language: str) -> None:
    for place, port, words in ports_of(language):
        assert words.keys() == ({"name", "tooltip"} if port.tooltip else {"name"}), place


@every_language
def test_everything_is_in_that_language(language: str) -> None:
    first, last = SCRIPTS[language]
    for word in words_of(language):
        assert word in THE_SAME or any(first <= sign <= last for sign in word), word


@every_language
def test_nothing_is_taken_for_the_syntax_of_messages(language: str) -> None:
    assert [word for word in words_of(language) if SYNTAX & set(word)] == []


@every_language
def test_tooltips_have_the_numbers_of_the_english_ones(language: str) -> None:
    for place, port, words in ports_of(language):
        told, english = (set(re.findall(r"\d+(?:\.\d+)?", text or ""))
                         for text in (words.get("tooltip"), port.tooltip))  # fmt: skip
        assert told == english, place


@every_language
def test_tooltips_name_options_as_the_menu_shows_them(language: str) -> None:
    """The front end translates no options of a node's combos."""
    named = 0
    for place, port, words in ports_of(language):
        for option in getattr(port, "options", None) or ():
            if f"{option}:" in (port.tooltip or ""):
                named += 1
                assert option in words["tooltip"], place
    assert named > 10


@every_language
def test_no_two_inputs_of_a_node_have_one_name(language: str) -> None:
    for node in names_of(language).values():
        names = [each["name"] for each in node["inputs"].values()]
        assert len(set(names)) == len(names)


@every_language
def test_sentences_call_nodes_as_their_titles_do(language: str) -> None:
    path = pack.ROOT / "locales" / language / "main.json"
    said = json.loads(path.read_text(encoding="utf-8"))["stepcache"]
    titles = {node: words["display_name"] for node, words in names_of(language).items()}
    assert titles == {node: said[schema.display_name] for node, schema in SCHEMAS.items()}
