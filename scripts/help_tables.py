"""Writes the tables of measured settings into web/docs/*.md: `python scripts/help_tables.py`.

Each stands between two comments that the front end does not show. Needs Python alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import help_results as results

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def table(node: str) -> str:
    """The tables of a node's page, one for each model: panels are narrow.

    Raises:
        LookupError: the results lack a setting that the page is to show.
    """
    if node in results.SPEEDS:
        return _forecast(node)
    parts: list[str] = []
    for model, title in results.MODELS.items():
        rows = list(_settings(results.SETTINGS[node], model))
        if rows:
            plain = results.percent(_plain(model)["fully_correct"])
            parts += [f"**{title}** (plain: {plain} right)", _markdown(rows)]
    if not parts:
        raise LookupError(f"{node}: no results")
    return "\n\n".join([*parts, _note()])


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
    return [*results.SPEEDS, *results.SETTINGS]


def _markdown(rows: list[dict[str, str]]) -> str:
    head = [list(rows[0]), ["---"] * len(rows[0])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (*head, *(r.values() for r in rows)))


def _settings(settings: Iterable[results.Setting], model: str) -> Iterator[dict[str, str]]:
    """A line for each setting that was measured on a model."""
    for setting in settings:
        found = results.read(setting.source)
        row = results.row_of(found, model, setting.method, setting.labels)
        if row is not None:
            yield {"setting": setting.words(row), **_numbers(row)}


def _numbers(row: dict[str, Any]) -> dict[str, str]:
    return {
        "speed": results.speed(row),
        "right": results.percent(row["fully_correct"]),
        "PSNR": results.likeness(row),
    }


def _forecast(node: str) -> str:
    """What Step Cache keeps at some speeds."""
    parts: list[str] = []
    for model, title in results.MODELS.items():
        rows = {speed: results.forecast_row(model, speed) for speed in results.SPEEDS[node]}
        first = next(iter(rows.values()))
        right = results.percent(first["plain_fully_correct"])
        parts.append(f"**{title}** ({first['captions']} captions, plain: {right} right)")
        parts.append(_markdown([_at_speed(node, *each) for each in rows.items()]))
    note = (
        "*Right*: pictures in which a judge finds every word of the caption and nothing else. "
        "*PSNR*: likeness\nto the plain picture; in the picture above that of each one by itself. "
        "Sampler *euler*, float32, small models:\nan order, not a promise."
    )
    return "\n\n".join([*parts, note])


def _at_speed(node: str, speed: float, row: dict[str, Any]) -> dict[str, str]:
    is_own = node == results.STEP_CACHE
    asked = {"speed": f"{speed:g}"} if is_own else {
        "speedup": f"{speed:g}", "chosen": f"Step Cache, speed {speed:g}",
    }  # fmt: skip
    return {
        **asked,
        "run the model": results.evaluations(row),
        "right": results.percent(row["fully_correct"]),
        "PSNR": results.likeness(row),
    }


def _note() -> str:
    """What the numbers are about; both files of results were made in the same way."""
    row = _plain(next(iter(results.MODELS)))
    return (
        "*Speed*: of whole runs without decoding. *Right*: pictures in which a judge finds every\n"
        "word of the caption and nothing else. *PSNR*: likeness to the plain picture; in the\n"
        "picture above that of each one by itself.\n"
        f"{row['captions']} captions, {row['steps']} steps, {row['batch']} pictures at once, "
        f"{row['precision']}, small models on a processor:\nan order, not a promise."
    )


def _plain(model: str) -> dict[str, Any]:
    row = results.row_of(results.read("quality"), model, "plain", ("",))
    if row is None:
        raise LookupError(f"no plain results on {model}")
    return row


def main() -> None:
    """Write the tables of all pages that have one."""
    for node in nodes():
        path = results.DOCS / f"{node}.md"
        path.write_text(page(node, path.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
