"""What people call a calibration, and what the reference calls the layers in it. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError
from ..schedule_file import Rows, parse_schedule, shown
from ..sites import SiteKind
from .layout import block, dump

NAME_LIMIT = 100
"""Characters of a name."""

BYTE_LIMIT = 200
"""Of a name in UTF-8: with what is appended to it, it still fits the 255 of file systems."""

REFERENCE_NAMES: Mapping[SiteKind, str] = {
    SiteKind.SELF_ATTENTION: "attn1",
    SiteKind.JOINT_ATTENTION: "attn",
    SiteKind.CROSS_ATTENTION: "attn2",
    SiteKind.FEED_FORWARD: "ff",
}
"""What the reference (Roblox/SmoothCache edeb4ed) calls the layers of its models."""

_DEVICES = frozenset({
    "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$",
    *(f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"),
})  # fmt: skip
"""What Windows takes for a device, whatever follows after a dot."""


def export_reference(rows: Rows, component_names: Mapping[SiteKind, str] | None = None) -> str:
    """A schedule as the reference package reads it; `read_schedule` reads it too.

    The reference has one word for self- and joint attention, so the latter is read as the former,
    which is about both.

    Args:
        rows: compute flags from the noisiest step on.
        component_names: what the model's code calls each kind, `REFERENCE_NAMES` if None.

    Raises:
        ConfigError: the reference has no name for a kind, or the rows make no schedule.
    """
    names = REFERENCE_NAMES if component_names is None else component_names
    lines: list[str] = []
    for kind, index, compute in rows:
        if kind not in names:
            raise ConfigError(
                f"the schedule has a row for {kind}, which the reference package cannot reuse; "
                f"expected {', '.join(str(known) for known in names)}. Choose a schedule of layers"
            )
        key = names[kind] if index is None else f"{names[kind]}-{index}"
        lines.append(f"{json.dumps(key)}: {dump([int(flag) for flag in compute])}")
    text = block("{}", lines) + "\n"
    read = parse_schedule(Path("export"), text.encode()).rows
    for (kind, _, _), (meant, _, _) in zip(rows, read, strict=True):
        is_joint = kind is SiteKind.JOINT_ATTENTION and meant is SiteKind.SELF_ATTENTION
        if meant is not kind and not is_joint:
            raise ConfigError(
                f"{kind} is to be called {shown(names[kind])}, which means {meant}; expected "
                f"another name, for example {REFERENCE_NAMES.get(kind, kind)}"
            )
    return text


def safe_name(name: str) -> str:
    """The name under which a file is saved, without ".json".

    Args:
        name: what a person typed.

    Raises:
        ConfigError: it is not the plain name of a file, or not on every system.
    """
    plain = name.strip()
    if plain.lower().endswith(".json"):
        plain = plain[: -len(".json")].rstrip()
    found = _fault(plain)
    if found:
        raise ConfigError(
            f"the name {shown(name)} {found}; expected a plain name like flux-20-steps, because a "
            f"name cannot leave that folder. Choose another"
        )
    return plain


def _fault(name: str) -> str:
    """What keeps a name from being a file's on some system, "" if nothing."""
    bad = [character for character in '/\\:*?"<>|' if character in name]
    if not name:
        return "is empty"
    if bad:
        return f"contains {' '.join(bad)}"
    if not name.isprintable():
        return "contains characters that cannot be seen"
    if name.startswith("."):
        return "begins with a dot"
    if name.endswith("."):
        return "ends with a dot"
    if len(name) > NAME_LIMIT or len(name.encode()) > BYTE_LIMIT:
        return f"is too long (at most {NAME_LIMIT} characters and {BYTE_LIMIT} bytes)"
    if name.partition(".")[0].rstrip().upper() in _DEVICES:
        return "is that of a device on Windows"
    return ""
