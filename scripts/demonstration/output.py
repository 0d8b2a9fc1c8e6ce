"""The demo's folder under output/: every file appears whole or not at all."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from setup.layout import OUTPUT, ROOT
from setup.stamps import write_atomically
from setup.tools import require_free_space

from .client import Run
from .results import TOO_NOISY, Row, Series, show_psnr, summarise, table
from .sheet import Tile, contact_sheet, mosaic

NEEDED_BYTES = 200_000_000


class Output:
    """A new folder, named after the time.

    Raises:
        StepError: the disk is nearly full.
    """

    def __init__(self, root: Path = OUTPUT) -> None:
        root.mkdir(exist_ok=True)
        require_free_space("the output folder", root, NEEDED_BYTES)
        self.folder = root / time.strftime("%Y%m%d-%H%M%S")
        self.folder.mkdir(exist_ok=True)
        self.log = self.folder / "server.log"
        write_atomically(root / "latest.txt", f"{self.folder.name}\n")

    def save_run(self, name: str, run: Run) -> None:
        """Write the pictures and reports of one run."""
        for number, picture in enumerate(run.pictures):
            frame = f"_frame{number:02d}" if len(run.pictures) > 1 else ""
            path = self.folder / "pictures" / f"{name}_seed{run.seed}{frame}.png"
            write_atomically(path, picture)
        for report in run.reports:
            path = self.folder / "reports" / f"{name}_seed{run.seed}.json"
            write_atomically(path, json.dumps(report, indent=2) + "\n")

    def save_results(self, results: Mapping[str, Sequence[Series]]) -> str:
        """Write table, summary and contact sheet. Returns the table."""
        rows = {model: [summarise(one) for one in series] for model, series in results.items()}
        every = [row for group in rows.values() for row in group]
        text = table(every)
        write_atomically(self.folder / "table.txt", text)
        summary = {
            "version": 1,
            "models": {model: [row.to_dict() for row in group] for model, group in rows.items()},
        }
        write_atomically(self.folder / "summary.json", json.dumps(summary, indent=2) + "\n")
        sheet = io.BytesIO()
        contact_sheet(list(results), _by_method(results, rows)).save(sheet, "png")
        write_atomically(self.folder / "contact_sheet.png", sheet.getvalue())
        return text


def save_thumbnails(results: Mapping[str, Sequence[Series]]) -> None:
    """Write workflows/<name>.jpg, which ComfyUI shows beside the workflow of that name."""
    for series in results.values():
        for one in series:
            if one.runs:
                data = io.BytesIO()
                mosaic(one.runs[0].pictures).save(data, "jpeg", quality=90)
                write_atomically(ROOT / "workflows" / f"{one.name}.jpg", data.getvalue())


def _by_method(
    results: Mapping[str, Sequence[Series]], rows: Mapping[str, Sequence[Row]]
) -> list[tuple[str, dict[str, Tile]]]:
    """The sheet's rows: every method's tiles by model. Workflows are named <model>_<method>."""
    sheet: dict[str, dict[str, Tile]] = {}
    for model, series in results.items():
        for one, row in zip(series, rows[model], strict=True):
            if one.runs and one.runs[0].pictures:
                method = one.name.removeprefix(f"{model}_").replace("_", " + ")
                sheet.setdefault(method, {})[model] = _tile(one.runs[0].pictures, row)
    return list(sheet.items())


def _tile(pictures: Sequence[bytes], row: Row) -> Tile:
    title = "" if row.seconds is None else f"{row.seconds:.2f} s"
    if row.psnr is None:
        return Tile(pictures, title, "")
    details = f"PSNR {show_psnr(row.psnr)}   SSIM {row.ssim:.3f}"
    title = TOO_NOISY if row.speedup is None else f"{row.speedup:.2f}x"
    return Tile(pictures, title, details)
