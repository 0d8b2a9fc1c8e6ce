"""The two folders that the type checker is shown; pyproject.toml says what for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .layout import CODE, ROOT

FOLDER = ROOT / ".typing"


def link_type_paths(comfyui: Path | None) -> None:
    """Make `.typing/comfyui`, the ComfyUI in use, and `.typing/pack/stepcache`, the pack.

    Args:
        comfyui: the folder with ComfyUI's `main.py`; None if there is none: the checker wants a
            folder all the same.
    """
    if comfyui is None:
        (FOLDER / "comfyui").mkdir(parents=True, exist_ok=True)
    else:
        link(FOLDER / "comfyui", comfyui)
    pack = FOLDER / "pack" / "stepcache"
    # Its parts, not the checkout: whatever follows links would walk in circles.
    for name in CODE:
        link(pack / name, ROOT / name)
    shutil.copyfile(ROOT / "__init__.py", pack / "__init__.py")


def link(place: Path, folder: Path) -> None:
    """Let a place lead to a folder, wherever it led before.

    Raises:
        OSError: there is a file at this place, or a folder that is not empty.
    """
    if place.exists() and place.samefile(folder):
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    elif os.path.lexists(place):
        place.rmdir()
    if sys.platform == "win32":
        # Only administrators may make symbolic links there; everybody may make junctions.
        command = ["cmd", "/c", "mklink", "/J", str(place), str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    else:
        place.symlink_to(folder, target_is_directory=True)
