"""English texts in the sources, as templates with numbered places: "reused {0} of {1}"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SENTENCE = re.compile(r"[a-z]{2,}[^ ]* +[^ ]")
"""Two words, or a word with something after it; names of inputs are no sentence."""
SCRIPT_TEXT = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


def python_texts(path: Path) -> set[str]:
    """Every text of a module, and the names of the fields of its classes, which reports print."""
    tree = _Module(path)
    fields = {
        node.target.id
        for node in ast.walk(tree.tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return {text for _, text in tree.texts()} | fields


def sentences(path: Path) -> set[str]:
    """The sentences of a module but for its docstrings and what it logs."""
    return {text for use, text in _Module(path).texts() if use != "name" and is_sentence(text)}


def refusals(path: Path) -> set[str]:
    """The sentences of a module that begin what its errors say."""
    return {text for use, text in _Module(path).texts() if use == "refusal" and is_sentence(text)}


def script_texts(path: Path) -> set[str]:
    """Every text of a script of the page, its comments left out."""
    code = re.sub(r"^\s*(//|\*|/\*).*$|\s// .*$", "", path.read_text("utf-8"), flags=re.M)
    return set(SCRIPT_TEXT.findall(code))


def is_sentence(text: str) -> bool:
    return bool(SENTENCE.search(re.sub(r"\{\d+\}", "", text)))


class _Module:
    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text("utf-8"))
        self._constants = {
            node.targets[0].id: node.value.value
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        }

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text with its use: "refusal" for what an error says, "name" for names, or none."""
        yield from self._texts(self.tree, "")

    def _texts(self, node: ast.AST, use: str) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("LOG."):
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield use, node.value
        elif isinstance(node, ast.JoinedStr):
            yield use, self._template(node)
            for value in node.values:
                if isinstance(value, ast.FormattedValue):
                    yield from self._texts(value.value, "")
        else:
            use = _use_in(node)
            for child in ast.iter_child_nodes(node):
                yield from self._texts(child, use)

    def _template(self, text: ast.JoinedStr) -> str:
        pieces: list[str] = []
        places = 0
        for value in text.values:
            if isinstance(value, ast.Constant):
                pieces.append(str(value.value))
            elif isinstance(value, ast.FormattedValue):
                name = value.value.id if isinstance(value.value, ast.Name) else ""
                if name in self._constants:
                    pieces.append(self._constants[name])
                else:
                    pieces.append(f"{{{places}}}")
                    places += 1
        return "".join(pieces)


def _use_in(node: ast.AST) -> str:
    """The use of texts that stand in a node."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):
        # A host that is too old is told before there is a page.
        return "" if ast.unparse(node.func) == "UnsupportedHostError" else "refusal"
    if isinstance(node, ast.keyword) and node.arg in ("name", "models"):
        return "name"
    if isinstance(node, ast.AnnAssign) and "ClassVar" in ast.unparse(node.annotation):
        return "name"
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "cast":
        return "name"
    return ""
