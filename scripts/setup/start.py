"""How both commands begin: set up, or end with a sentence that says what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable

from .errors import StepError, explained
from .prepare import Runtime
from .tools import AGAIN

FAILED, INTERRUPTED = 2, 130


def set_up(prepare: Callable[[], Runtime]) -> Runtime:
    """What `prepare` brings about.

    Raises:
        SystemExit: a step failed (status 2) or was interrupted (130); what to do was printed.
    """
    try:
        return prepare()
    except StepError as error:
        print(f"\n{error}", file=sys.stderr)
        raise SystemExit(FAILED) from None
    except OSError as error:
        print(f"\n{explained(error, 'set-up')}", file=sys.stderr)
        raise SystemExit(FAILED) from None
    except KeyboardInterrupt:
        print(f"\nstopped during set-up; {AGAIN.removeprefix('then ')}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
