"""The one tree of errors. Every message says what was found, what was expected and what to do.

None that a run raises is a ValueError, RuntimeError or the like: samplers of other packs catch
those around each call and pass over what they do not know, and an empty picture would be all.
"""


class StepCacheError(Exception):
    """Base of everything this package raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class ConfigError(StepCacheError):
    """A parameter is outside its legal range, or two parameters contradict each other."""


class UnsupportedModelError(StepCacheError):
    """The connected model has no place where the method could act."""


class RuleConflictError(StepCacheError):
    """Two methods claim the same site."""


class EffortError(StepCacheError):
    """A question would take more work than whoever answers it may spend."""


class UnsupportedHostError(StepCacheError, ImportError):
    """The program that loads the pack lacks what it is built on."""
