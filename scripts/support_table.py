"""Writes which method works on which model: `python scripts/support_table.py`.

Reads families and methods, asks the same function that attaching asks, and writes docs/support.md.
Needs the environment of `python scripts/test.py`.
"""

from __future__ import annotations

import booted_on_cpu
from paths import ROOT

from stepcache.cache_core.errors import UnsupportedModelError
from stepcache.cache_core.host.compatibility.method_fit import check
from stepcache.cache_core.host.families import FAMILIES, Family
from stepcache.cache_core.methods import Method
from stepcache.cache_core.sites import SiteKind
from stepcache.nodes.method_nodes import METHOD_NODES
from stepcache.pictures.series import in_words

METHODS: dict[str, Method] = {
    method.title: node.as_it_comes() for method, node in METHOD_NODES.items()
}
"""As their nodes come."""
BLOCKS = "whole blocks"
MANY = 10_000
"""Sites of a kind: more than any setting counts."""


def refusal_of(method: Method, family: Family) -> str | None:
    """Why a method does not work on a family, in the words of its error, or None."""
    network = family.model_classes[0].rpartition(".")[2]
    try:
        check(method, family, network, dict.fromkeys(kinds_in(family), MANY))
    except UnsupportedModelError as error:
        return str(error)
    return None


def kinds_in(family: Family) -> frozenset[SiteKind]:
    """The kinds of sites of a family; whatever is sampled is evaluated."""
    is_sampled = SiteKind.EVALUATION not in (family.lacks or {})
    return family.kinds | {SiteKind.EVALUATION} if is_sampled else family.kinds


def kinds_of(method: Method, family: Family) -> str:
    """The kinds of sites that a method acts on."""
    kinds = {rule.where.kind for rule in method.rules()} & kinds_in(family)
    return ", ".join(in_words(kind) for kind in SiteKind if kind in kinds)


def short_table() -> str:
    """A row per family, a mark per method."""
    lines = [
        f"| model family | {' | '.join(METHODS)} | {BLOCKS} |",
        "|---|" + ":-:|" * (len(METHODS) + 1),
    ]
    for family in sorted(FAMILIES, key=lambda family: family.name.lower()):
        marks = ["–" if refusal_of(method, family) else "✓" for method in METHODS.values()]
        marks.append("✓" if SiteKind.BLOCK in family.kinds else "–")
        models = "" if family.models == family.name else f": {family.models}"
        lines.append(f"| **{family.name}**{models} | {' | '.join(marks)} |")
    return "\n".join(lines)


def page() -> str:
    """The short table, and per family what each method acts on, or its refusal."""
    parts = [
        "# Models and methods",
        "",
        "Written by `scripts/support_table.py` from families and methods themselves; a test",
        "compares. Every cell is tried on tiny models of ComfyUI's own classes (`tests/contract`).",
        "✓ works, – is refused in the words below.",
        "",
        "Step Cache leaves out whole steps, and works on models that are not listed. For the other",
        "methods their layers are found from the module tree. On the first step the pack runs such",
        "a model twice, computed and replayed, and stops with an error if the two differ.",
        "",
        short_table(),
    ]
    for family in sorted(FAMILIES, key=lambda family: family.name.lower()):
        models = [] if family.models == family.name else [f"{family.models}.", ""]
        parts += ["", f"## {family.name}", "", *models]
        for label, method in METHODS.items():
            refusal = refusal_of(method, family)
            parts.append(f"* **{label}**: {refusal or kinds_of(method, family)}")
        if SiteKind.BLOCK in family.kinds:
            parts.append("* **Whole blocks**: by Apply PAB (block) and SmoothCache Schedule")
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    (ROOT / "docs" / "support.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
