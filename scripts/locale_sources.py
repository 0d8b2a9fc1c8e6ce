"""Writes the English that translations are of: `python scripts/locale_sources.py zh`.

Beside every `locales/<language>/nodeDefs.json` stands `sources.json`, with the same keys and the
English words that were translated. Where a node says something else today, a test names the places;
translate those, then run this. A node that is in no nodeDefs.json shows its English words; this
says which those are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import booted_on_cpu
from paths import ROOT

from stepcache.nodes.extension import NODES

LANGUAGES = sorted(path.name for path in (ROOT / "locales").iterdir() if path.is_dir())

Words = dict[str, dict[str, object]]


def english() -> Words:
    """What every node says today, in the form of nodeDefs.json."""
    schemas = [node.define_schema() for node in NODES]
    return {
        schema.node_id: {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": {each.id: _words(each) for each in schema.inputs},
            "outputs": {str(n): _words(each) for n, each in enumerate(schema.outputs)},
        }
        for schema in schemas
    }


def _words(port: Any) -> dict[str, str]:
    name = port.display_name or port.id or port.io_type
    return {"name": name, **({"tooltip": port.tooltip} if port.tooltip else {})}


def translated(language: str) -> set[str]:
    """Nodes that have words of that language."""
    path = ROOT / "locales" / language / "nodeDefs.json"
    return set(json.loads(path.read_text(encoding="utf-8")))


def path_of(language: str) -> Path:
    """Where the English of a language stands."""
    return ROOT / "locales" / language / "sources.json"


def main() -> None:
    """Write the files of the languages that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("languages", nargs="+", choices=LANGUAGES, help="those that are translated")
    words = english()
    for language in parser.parse_args().languages:
        known = translated(language)
        found = {node: said for node, said in words.items() if node in known}
        text = json.dumps(found, ensure_ascii=False, indent=2) + "\n"
        path_of(language).write_text(text, encoding="utf-8")
        if missing := ", ".join(words.keys() - known):
            print(f"{language}: not translated, shown in English: {missing}")


if __name__ == "__main__":
    main()
