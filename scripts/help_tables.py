"""Writes the tables of measured settings into web/docs/*.md: `python scripts/help_tables.py`.

Each stands between two comments that the front end does not show. Needs Python alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))

import help_results as results

DOCS = Path(__file__).resolve().parents[1] / "web" / "docs"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NONE, RULE = "–", "---"


def table(node: str) -> str:
    """The table of a node's page.

    Raises:
        LookupError: the results lack a setting that the page is to show.
    """
    rows = _advised() if node == results.ADVISOR else _settings(node)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", _note()])


def page(node: str, text: str) -> str:
    """The text of a page with the table of today.

    Raises:
        ValueError: it has no place for one.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{node}.md: no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table(node)}\n\n{END}{after}"


def nodes() -> list[str]:
    """The nodes whose pages have such a table."""
    return [*results.SETTINGS, results.ADVISOR]


def _settings(node: str) -> Iterator[tuple[str, ...]]:
    """Three columns for each model on which the method was measured."""
    settings = results.SETTINGS[node]
    sources = {each.source: results.read(each.source) for each in settings}
    found = [
        {
            model: results.row_of(sources[each.source], model, each.method, each.labels)
            for model in results.MODELS
        }
        for each in settings
    ]
    models = [model for model in results.MODELS if any(rows[model] for rows in found)]
    plain = {model: _plain(sources[settings[0].source], model) for model in models}
    yield ("setting", *(part for model in models for part in _columns(model, plain[model])))
    yield (RULE,) * (1 + 3 * len(models))
    for setting, rows in zip(settings, found, strict=True):
        measured = [row for row in rows.values() if row is not None]
        if not measured:
            raise LookupError(f"{node}: no results for {setting}")
        numbers = (part for model in models for part in _numbers(rows[model]))
        yield (setting.words(measured[0]), *numbers)


def _columns(model: str, plain: dict[str, Any]) -> tuple[str, str, str]:
    right = f"right (plain {results.percent(plain['fully_correct'])})"
    return (f"{results.MODELS[model]}: speed", right, "PSNR")


def _numbers(row: dict[str, Any] | None) -> tuple[str, str, str]:
    if row is None:
        return (NONE, NONE, NONE)
    return (results.speed(row), results.percent(row["fully_correct"]), results.likeness(row))


def _advised() -> Iterator[tuple[str, ...]]:
    """A line for each wished speed on each model."""
    found = results.read("calibration")
    yield ("model", "speedup", "chosen", "predicted", "measured", "right", "PSNR")
    yield (RULE,) * 7
    for model, title in results.MODELS.items():
        plain = results.percent(_plain(found, model)["fully_correct"])
        for wish, advice in found["advised"][model].items():
            method, label = advice["row"]
            row = results.row_of(found, model, method, (label,))
            if row is None:
                raise LookupError(f"no results for {advice['row']} on {model}")
            yield (
                f"{title} (plain {plain} right)",
                wish.removesuffix("×"),
                _chosen(advice["reason"][0], row["parameters"]),
                f"{row['predicted']['speedup']:.2f}×",
                *_numbers(row),
            )


def _chosen(reason: str, parameters: str) -> str:
    """The method that was chosen; for DeepCache with its settings, which are few."""
    method = reason.partition(":")[0]
    if "interval" not in parameters:
        return method
    told = (results.parameter(parameters, name) for name in ("interval", "branch"))
    return ", ".join((method, *told))


def _note() -> str:
    """What the numbers are about; both files of results were made in the same way."""
    row = _plain(results.read("quality"), next(iter(results.MODELS)))
    return (
        "*Speed*: of whole runs without decoding. *Right*: pictures in which a judge finds every\n"
        "word of the caption and nothing else. *PSNR*: likeness to the plain picture.\n"
        f"{row['captions']} captions, {row['steps']} steps, {row['batch']} pictures at once, "
        f"{row['precision']}, small models on a processor:\nan order, not a promise."
    )


def _plain(found: dict[str, Any], model: str) -> dict[str, Any]:
    row = results.row_of(found, model, "plain", ("",))
    if row is None:
        raise LookupError(f"no plain results on {model}")
    return row


def main() -> None:
    """Write the tables of all pages that have one."""
    for node in nodes():
        path = DOCS / f"{node}.md"
        path.write_text(page(node, path.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
