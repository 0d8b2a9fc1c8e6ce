"""Calibrations as files: read with suspicion, written whole or not at all. No torch."""

from __future__ import annotations

import errno
import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..schedule_file import parse_json, read_bytes, refusal, shown
from .calibration import Calibration
from .checks import Misfit
from .choose import scheduled
from .layout import SIZE_LIMIT, LaidOut, lay_out
from .lock import locking
from .names import export_reference, safe_name
from .schema import FORMAT_KEY, calibration_of

__all__ = [
    "SIZE_LIMIT", "Saved", "check_writable", "export_reference", "is_calibration", "lay_out",
    "read", "safe_name", "save", "write", "write_text",
]  # fmt: skip

SUFFIX = ".json"

MAX_NAMES = 99
"""mine.json, mine-2.json … mine-99.json."""

_NOUN = "calibration"

_REMEDIES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some space on that disk",
    errno.EACCES: "give yourself the right to write there",
    errno.EPERM: "give yourself the right to write there",
    errno.EROFS: "make the folder writable",
    errno.ENOTDIR: "move the file away that is in the place of a folder",
    errno.EEXIST: "move the file away that is in the place of a folder",
    errno.EISDIR: "move the folder away that has the name of the file",
}


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved.

    Args:
        path: the file that was written.
        calibration: what it holds now.
        remarks: for the person.
    """

    path: Path
    calibration: Calibration
    remarks: tuple[str, ...]


def read(path: Path) -> Calibration:
    """The calibration in a file, whoever made it.

    Raises:
        ConfigError: the file cannot be read, or is no calibration.
    """
    data = read_bytes(path, _NOUN, SIZE_LIMIT)
    found = parse_json(path, data, _without_twins, _NOUN)
    try:
        return calibration_of(found)
    except Misfit as misfit:
        raise refusal(path, misfit.found, misfit.remedy, _NOUN) from misfit


def is_calibration(path: Path) -> bool:
    """Whether a file looks like a calibration, and not like a schedule of the reference.

    A damaged one does too, so that it is refused as what it is.
    """
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return json.dumps(FORMAT_KEY).encode() in file.read(SIZE_LIMIT)
    except (OSError, ValueError):
        return False


def write(path: Path, calibration: Calibration) -> None:
    """Write a calibration so that a reader sees all of it or what was there before.

    Raises:
        ConfigError: it cannot be written there, or holds what a calibration cannot hold.
    """
    write_text(path, lay_out(calibration).text)


def write_text(path: Path, text: str) -> None:
    """The same for any text.

    Raises:
        ConfigError: it cannot be written there.
    """
    try:
        _write_bytes(path, text.encode())
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def check_writable(folder: Path) -> None:
    """Make a folder if there is none, and try whether files can be saved there.

    Raises:
        ConfigError: they cannot.
    """
    probe = folder / f".stepcache-{secrets.token_hex(8)}.probe"
    try:
        _write_bytes(probe, b"{}\n")
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def save(path: Path, calibration: Calibration, add: bool) -> Saved:
    """Save a calibration under a name that other runs may use at the same time.

    Nothing is overwritten that it cannot be added to: then mine-2.json is taken, or mine-3.json
    and so on. What an interrupted run left goes to mine.partial.json and never touches mine.json.

    Args:
        path: of the file, with or without ".json".
        calibration: of this run.
        add: to what earlier runs saved there; otherwise that is replaced.

    Raises:
        ConfigError: it cannot be written there, or holds what a calibration cannot hold.
    """
    new = _New(calibration)
    stem = path.name.removesuffix(SUFFIX) + ("" if calibration.is_whole else ".partial")
    reasons: list[str] = []
    for number in range(1, MAX_NAMES + 1):
        target = path.with_name(stem + (f"-{number}" if number > 1 else "") + SUFFIX)
        try:
            stored = _save_to(target, new, add)
        except _Declined as declined:
            reasons.append(str(declined))
            continue
        except OSError as error:
            raise _unwritable(path.parent, error) from error
        remarks = stored.remarks
        if not calibration.is_whole:
            what = f"the run did not come to its end: {target.name} has what it measured"
            remarks = (*remarks, what)
        if reasons:
            remarks = (*remarks, f"saved as {target.name}, because {'; '.join(reasons)}")
        return Saved(target, stored.calibration, remarks)
    raise ConfigError(
        f"there are {MAX_NAMES} calibrations named {stem}, and this one can be added to none of "
        f"them; expected a new name. Choose another one"
    )


class _Declined(Exception):
    """A file is to be left as it is, because …"""


@dataclass(frozen=True)
class _New:
    """What a run measured; its own text is only made where it is not added to another's."""

    calibration: Calibration

    @cached_property
    def laid_out(self) -> LaidOut:
        return lay_out(self.calibration)


def _save_to(path: Path, new: _New, add: bool) -> LaidOut:
    """What was stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locking(path) as is_locked:
        if not is_locked:
            raise _Declined(f"another run is writing {path.name} just now")
        stored = _sum(path, new) if add and path.exists() else new.laid_out
        write_text(path, stored.text)
        return stored


def _sum(path: Path, new: _New) -> LaidOut:
    """What an earlier run saved and this one; absurd numbers in the file do no harm to this one."""
    try:
        old, more, remarks = read(path), new.calibration, ()
        if old.table.rows.keys() != more.table.rows.keys():
            # Single layers may be too many for a file.
            more, remarks = new.laid_out.calibration, new.laid_out.remarks
        if old.is_whole != more.is_whole:
            raise _Declined(f"{path.name} is {'whole' if old.is_whole else 'but a part'}")
        differences = old.differences(more)
        if differences:
            raise _Declined(f"{path.name} differs in {', '.join(differences)}")
        total = lay_out(scheduled(old.plus(more)))
    except ConfigError as error:
        raise _Declined(str(error)) from error
    samples = total.calibration.samples
    added = f"added to what {path.name} held (pictures before: {old.samples}, now: {samples})"
    return replace(total, remarks=(*remarks, *total.remarks, added, *old.remarks))


def _write_bytes(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".stepcache-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    reason = error.strerror or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "check the folder")
    return ConfigError(f"files cannot be saved in the folder {folder} ({reason}); {remedy}")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {shown(key)} occurs twice")
        found[key] = value
    return found
