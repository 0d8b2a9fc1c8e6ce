"""Stamps: small files, written last, that say a folder is whole and what it was made from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees all of it or nothing; text is written as UTF-8."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def fingerprint(*parts: str) -> str:
    """A short name for a list of texts; any change gives another name."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def write_stamp(path: Path, content: Mapping[str, str]) -> None:
    """Say that what `path` stands for is whole and was made from `content`."""
    write_atomically(path, json.dumps(dict(content), indent=2) + "\n")


def is_stamped(path: Path, content: Mapping[str, str]) -> bool:
    """Whether a stamp exists, can be read and names exactly this content."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) == dict(content)
    except (OSError, ValueError):
        return False
