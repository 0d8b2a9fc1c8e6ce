"""A ComfyUI that the person already has: which one, and its Python."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from .comfyui_versions import NEWEST, RELEASES, numbers_of
from .environment import answers
from .errors import StepError
from .layout import ROOT, python_in

STEP = "the ComfyUI to use"
HAS_PACKAGES = (
    "import sys, importlib.util as u; "
    "sys.exit(not all(map(u.find_spec, ('torch', 'aiohttp', 'numpy', 'PIL'))))"
)


def given_comfyui(option: Path | None, variables: Mapping[str, str] = os.environ) -> Path | None:
    """The ComfyUI named by `--comfyui`, by COMFYUI_PATH, or by where the pack stands.

    Args:
        option: what `--comfyui` named.
        variables: environment variables.

    Returns:
        The folder that holds `main.py`; None if nothing names one, or it is the one that set-up
        unpacks unless told otherwise.

    Raises:
        StepError: what was named is not a ComfyUI.
    """
    named = option or (Path(variables["COMFYUI_PATH"]) if variables.get("COMFYUI_PATH") else None)
    if named is not None:
        for folder in (named, named / "ComfyUI"):
            if is_comfyui(folder):
                found = folder.resolve()
                return None if found == NEWEST.tree.resolve() else found
        raise StepError(
            STEP,
            f"{named} holds no ComfyUI (no main.py beside a folder comfy)",
            "name the folder that holds ComfyUI's main.py, or leave --comfyui and COMFYUI_PATH "
            "away to have one unpacked",
        )
    around = ROOT.parent.parent
    return around if ROOT.parent.name == "custom_nodes" and is_comfyui(around) else None


def is_comfyui(folder: Path) -> bool:
    """Whether a folder looks like the root of a ComfyUI."""
    return (folder / "main.py").is_file() and (folder / "comfy").is_dir()


def python_of(comfyui: Path) -> Path:
    """The interpreter that runs a given ComfyUI.

    Raises:
        StepError: none of the usual places has one with ComfyUI's packages.
    """
    places = [
        comfyui.parent / "python_embeded" / "python.exe",
        *(
            python_in(base / name)
            for base in (comfyui, comfyui.parent)
            for name in (".venv", "venv", "env")
        ),
        Path(sys.executable),
    ]
    for python in places:
        if python.is_file() and answers(python, HAS_PACKAGES):
            return python
    looked = "\n".join(str(python) for python in places)
    raise StepError(
        STEP,
        f"no Python with ComfyUI's packages was found for {comfyui}; looked for\n{looked}",
        "run this command with the Python that starts that ComfyUI",
    )


def version_of(comfyui: Path) -> str:
    """The version that a ComfyUI states, or "unknown"."""
    try:
        text = (comfyui / "comfyui_version.py").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    match = re.search(r"__version__\s*=\s*[\"']([^\"']+)", text)
    return match[1] if match else "unknown"


def remark_on(version: str) -> str:
    """What to say about a version that no test has seen; empty if there is nothing to say."""
    found, oldest, newest = (numbers_of(v) for v in (version, RELEASES[0].version, NEWEST.version))
    if not found or found < oldest:
        return f"older than the oldest tested, {RELEASES[0].version}"
    return f"newer than the newest tested, {NEWEST.version}" if found > newest else ""
