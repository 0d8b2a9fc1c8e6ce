"""The table of families and methods that a test run ends with."""

from __future__ import annotations

from collections import defaultdict

METHODS = ("PAB", "FasterCache", "DeepCache", "TGate", "SmoothCache", "blocks")
OF_NODE = {
    "Apply PAB": "PAB", "Apply FasterCache": "FasterCache", "DeepCache UNet": "DeepCache",
    "TGATE Gate": "TGate", "SmoothCache Schedule": "SmoothCache",
}  # fmt: skip
OF_TOY = {"shapes_unet": "UNet", "shapes_dit": "Wan", "wan": "Wan"}


class Cells:
    """What the laws showed for every family and method.

    Args of `add`: the parameters of a test of the laws, and whether it passed.
    """

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str], set[str]] = defaultdict(set)

    def add(self, parameters: dict[str, object], passed: bool) -> None:
        """Count one test: with `case` a law on a model, with `method` and `name` a refusal."""
        case = parameters.get("case")
        if case is not None:
            model, label = case.model, case.method.split()[0]  # type: ignore[attr-defined]
            column = "blocks" if case.method.endswith("blocks") else label  # type: ignore[attr-defined]
            word = "pass"
        elif {"method", "name"} <= parameters.keys():
            model = str(parameters["name"])
            method = parameters["method"]
            column = OF_NODE.get(getattr(method, "name", ""), "")
            column = "blocks" if getattr(method, "block", 1) > 1 else column
            word = "refused"
        else:
            return
        self._outcomes[self._family(model), column].add(word if passed else "FAIL")

    def lines(self) -> list[str]:
        """The table, a family per line; nothing where no law was run."""
        families = sorted({family for family, _ in self._outcomes}, key=str.lower)
        if not families:
            return []
        width = max(map(len, families))
        rows = ["".join((" " * width, *(f"  {method:>11}" for method in METHODS)))]
        for family in families:
            row = "".join(f"  {self._cell(family, method):>11}" for method in METHODS)
            rows.append(f"{family:{width}}{row}")
        return rows

    def _cell(self, family: str, method: str) -> str:
        outcomes = self._outcomes.get((family, method), set())
        return "FAIL" if "FAIL" in outcomes else "/".join(sorted(outcomes)) or "."

    @staticmethod
    def _family(model: str) -> str:
        import toys

        toy = toys.TOYS.get(model)
        return OF_TOY.get(model) or (toy.family if toy and toy.family else "UNet")
