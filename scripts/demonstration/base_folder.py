"""The server's private base folder: the pack, the demo's nodes, nothing of the person's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from setup.errors import StepError
from setup.layout import CODE, ROOT

PACK_FILES = ("__init__.py", "pyproject.toml", "LICENSE")
PACK_FOLDERS = (*CODE, "web", "workflows", "calibrations", "locales")
UNUSED = shutil.ignore_patterns("__pycache__", "train", ".*")
MODEL_PATHS = "model_paths.yaml"


def fill_base_folder(base: Path, checkpoint: Path | None) -> None:
    """Copy in what the server loads; packs that an earlier start left are replaced.

    Args:
        base: the folder given to `--base-directory`.
        checkpoint: a file that the stock loaders offer, besides nothing else.

    Raises:
        StepError: a file cannot be copied, e.g. for want of space.
    """
    packs = base / "custom_nodes"
    try:
        shutil.rmtree(packs, ignore_errors=True)
        for name in ("models", "input", "output", "temp", "user"):
            (base / name).mkdir(parents=True, exist_ok=True)
        _copy_pack(packs / "ComfyUI-StepCache")
        shutil.copytree(ROOT / "demo", packs / "stepcache_demo", ignore=UNUSED)
        paths: dict[str, dict[str, str]] = {}
        if checkpoint is not None and not _linked(checkpoint, base / "models" / "checkpoints"):
            paths["stepcache"] = {"checkpoints": str(checkpoint.parent)}
        # JSON is YAML, and its quoting keeps the backslashes of Windows paths.
        (base / MODEL_PATHS).write_text(json.dumps(paths), encoding="utf-8")
    except OSError as error:
        raise StepError(
            "copying the pack for the server",
            str(error),
            "check the free space and the rights of the temporary folder, then run again",
        ) from error


def _linked(checkpoint: Path, folder: Path) -> bool:
    """Put a link to one file into a folder. Windows allows it to some people only.

    The file's own folder is the second choice: the server walks through all below it before it
    answers, which took minutes in a folder of downloads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / checkpoint.name
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(checkpoint)
    except OSError:
        return False
    return True


def _copy_pack(pack: Path) -> None:
    pack.mkdir(parents=True)
    for name in PACK_FILES:
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, pack / name)
    for name in PACK_FOLDERS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, pack / name, ignore=UNUSED)
