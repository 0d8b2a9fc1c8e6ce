"""These tests run inside a genuine ComfyUI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import host
import pytest

host.boot(cpu=True)


# Only a host that has been booted lets calibrating be imported.


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where calibrations are written, for one test another one."""
    from calibrating import second_installation

    with second_installation(tmp_path) as folder:
        yield folder


@pytest.fixture
def file(folder: Path) -> Path:
    """A whole calibration, by the node."""
    from calibrating import FILE, calibrate_to_file

    calibrate_to_file()
    return folder / FILE
