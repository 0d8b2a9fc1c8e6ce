"""The table of families and methods that a test run ends with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from stepcache.cache_core.methods import METHODS

BLOCKS = "blocks"
COLUMNS = (*(method.__name__ for method in METHODS), BLOCKS)
OF_NODE = {method.name: method.__name__ for method in METHODS}
OF_TOY = {"shapes_unet": "UNet", "shapes_dit": "Wan", "wan": "Wan"}


PROPERTY = "cell"


def cell_of(parameters: Mapping[str, Any]) -> list[tuple[str, object]]:
    """The cell that a test of the laws is about, as a property of its report; none for others.

    Args:
        parameters: those of the test: a case, or a method and the model that should refuse it.
    """
    case = parameters.get("case")
    if case is not None:
        column = BLOCKS if case.method.endswith(BLOCKS) else case.method.split()[0]
        return [(PROPERTY, (_family(case.model), column, "pass"))]
    if {"method", "name"} <= parameters.keys():
        method = parameters["method"]
        column = BLOCKS if getattr(method, "block", 1) > 1 else OF_NODE[method.name]
        return [(PROPERTY, (_family(parameters["name"]), column, "refused"))]
    return []


def _family(model: str) -> str:
    import toys

    toy = toys.TOYS.get(model)
    return OF_TOY.get(model) or (toy.family if toy and toy.family else "UNet")


class Cells:
    """What the laws showed for every family and method."""

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str], set[str]] = defaultdict(set)

    def add(self, properties: Iterable[tuple[str, Any]], passed: bool) -> None:
        """Count one test, by the properties of its report."""
        for name, value in properties:
            if name == PROPERTY:
                family, column, word = value
                self._outcomes[family, column].add(word if passed else "FAIL")

    def lines(self) -> list[str]:
        """The table, a family per line; nothing where no law was run."""
        families = sorted({family for family, _ in self._outcomes}, key=str.lower)
        if not families:
            return []
        width = max(map(len, families))
        rows = ["".join((" " * width, *(f"  {column:>11}" for column in COLUMNS)))]
        for family in families:
            row = "".join(f"  {self._cell(family, column):>11}" for column in COLUMNS)
            rows.append(f"{family:{width}}{row}")
        return rows

    def _cell(self, family: str, column: str) -> str:
        outcomes = self._outcomes.get((family, column), set())
        return "FAIL" if "FAIL" in outcomes else "/".join(sorted(outcomes)) or "."
