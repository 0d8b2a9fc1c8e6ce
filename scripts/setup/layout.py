"""Where things stand in a checkout."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
CODE = ("nodes", "previews", "audit", "pictures", "torch_settings", "cache_core")
"""Folders of the pack's Python."""
VENV = ROOT / ".venv"
HOSTS = ROOT / ".comfyui"
OUTPUT = ROOT / "output"
CONSTRAINTS = Path(__file__).with_name("constraints.txt")


def python_in(environment: Path) -> Path:
    """The interpreter of a virtual environment, whether or not it exists."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
