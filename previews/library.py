"""Where schedules and calibrations lie: ComfyUI's user folder, models/smoothcache, and the pack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import folder_paths

from ..cache_core.calibration import Calibration
from ..cache_core.calibration.file import (
    check_writable,
    is_calibration,
    read,
    safe_name,
)
from ..cache_core.calibration.file import save as save_file
from ..cache_core.errors import ConfigError
from ..cache_core.version import VERSION

FOLDER = "smoothcache"
USER_FOLDER = "default/stepcache"
SUFFIX = ".json"
PARTIAL = ".partial.json"

SHIPPED = Path(__file__).resolve().parent.parent / "calibrations"
"""Those of the reference models, which the demo uses."""


def user_folder() -> Path:
    """Where calibrations are saved."""
    return Path(folder_paths.get_user_directory(), USER_FOLDER)


for place in (user_folder(), Path(folder_paths.models_dir, FOLDER), SHIPPED):
    folder_paths.add_model_folder_path(FOLDER, str(place))


def names() -> list[str]:
    """Files that may be chosen; what interrupted runs left is none of them."""
    found = folder_paths.get_filename_list(FOLDER)
    return [n for n in found if n.lower().endswith(SUFFIX) and not n.lower().endswith(PARTIAL)]


def calibrations() -> list[str]:
    """Those of them that are calibrations; the others are schedules of the reference package."""
    return [name for name in names() if is_calibration(path_of(name))]


def path_of(name: str) -> Path:
    """The file of that name.

    Raises:
        ConfigError: there is none in the folders; a name cannot lead out of them.
    """
    found = folder_paths.get_full_path(FOLDER, name)
    if found is None:
        raise ConfigError(
            f"there is no file {name} in user/{USER_FOLDER}, in models/{FOLDER} or among those of "
            f"the pack; expected a .json file. Put the file there, or choose another one"
        )
    return Path(found)


def load(name: str) -> Calibration:
    """A whole calibration.

    Raises:
        ConfigError: there is no such file, it is no calibration, or the run was interrupted.
    """
    calibration = read(path_of(name))
    if not calibration.is_whole:
        raise ConfigError(
            f"the calibration {name} is of a run that was interrupted after "
            f"{calibration.table.steps} steps; expected a whole one. Calibrate again"
        )
    return calibration


def target(name: str) -> Path:
    """The file that a calibration of this name is saved to.

    Raises:
        ConfigError: the name is no plain file name, or the folder cannot be written to.
    """
    folder = user_folder()
    check_writable(folder)
    return folder / f"{safe_name(name)}{SUFFIX}"


def save(path: Path, calibration: Calibration, *, add: bool) -> tuple[Calibration, tuple[str, ...]]:
    """Keep a calibration.

    Args:
        add: to what the file holds already; otherwise that is replaced.

    Returns:
        What the file holds now, and remarks that say where it is.
    """
    saved = save_file(path, replace(calibration, tool=VERSION), add)
    whole = saved.calibration
    remark = f"saved as {saved.path.name} (pictures: {whole.samples}, runs: {whole.runs})"
    return whole, (remark, *saved.remarks)
