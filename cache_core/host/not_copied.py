"""What may stand in a model's options, which other nodes copy deeply and loaders may pickle."""

from __future__ import annotations

from typing import Any


class NotCopied:
    """Never edited, or one for all who hold it: deep copies of the options hold the same object."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


class NotPickled(NotCopied):
    """Part of a run that is going on: what is pickled meanwhile holds None in its place."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return _nothing, ()


def _nothing() -> None:
    return None
