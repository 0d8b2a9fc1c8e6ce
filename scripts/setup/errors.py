"""The one way in which set-up and demo stop: which step, why, what to do."""

from __future__ import annotations

import errno


class StepError(Exception):
    """A step that failed.

    Args:
        step: what was being done, as the person saw it announced.
        why: what was found; may have several lines, e.g. the end of a tool's output.
        remedy: what the person can do about it.
    """

    def __init__(self, step: str, why: str, remedy: str) -> None:
        super().__init__(step, why, remedy)
        self.step = step
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        why = self.why.strip().replace("\n", "\n            ")
        return f"FAILED      {self.step}\nwhy:        {why}\nwhat to do: {self.remedy}"


def explained(error: OSError, step: str) -> StepError:
    """What the operating system refused, as a step that failed.

    Args:
        error: as it was raised.
        step: what was being done.
    """
    remedies = {
        errno.ENOSPC: "free some disk space, then run the same command again",
        errno.EROFS: "copy the checkout to a folder that you may write in, and run it there",
        errno.EACCES: "give yourself the right to write there, or copy the checkout to a folder "
        "that you may write in, and run it there",
    }
    remedies[errno.EPERM] = remedies[errno.EACCES]
    remedy = remedies.get(error.errno or 0, "mend this, then run the same command again")
    return StepError(step, str(error), remedy)
