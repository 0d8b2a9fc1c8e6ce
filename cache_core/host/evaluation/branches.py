"""Passes with one branch and with both, beside another node's cache that answers for whole passes.

Such a cache keeps what the network said to all branches in one tensor. Where the next pass has
another number of branches, it fails on shapes, or hands one branch the other's. Known ones are
refused by `conflicts`; an unknown one shows itself: a pass is over, and no layer was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...errors import ConfigError

ANSWERED_FOR = "another node answers for the network from memory, for both branches at once"

Conds = Sequence[Any]
Predict = Callable[[Conds], list[torch.Tensor]]


class Branches:
    """Asks for one branch as long as the network is asked.

    Args:
        count: tells how often layers have been asked in this run. Where none of them ever is,
            nothing can be told.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._asked = 0
        self.may_leave_out = True
        """Whether nobody else has answered yet."""

    def both(self, predict: Predict, conds: Conds, owner: str) -> list[torch.Tensor]:
        """The answers of a pass with both branches.

        Args:
            owner: the node that leaves one out, for the error.

        Raises:
            ConfigError: somebody else gave them, who last saw the network answer for one branch.
        """
        before = self._count()
        answers = predict(conds)
        if self._count() > before:
            self._asked = 2
        elif self._asked == 1 and any(conds):
            raise ConfigError(
                f"{owner}: another node on this model answers for the network from memory, "
                f"and would give one branch of guidance the other's answer, because this node "
                f"leaves one out. Remove the other cache, or use Apply PAB or Apply FasterCache "
                f"with guidance_interval 1 beside it"
            )
        return answers

    def one(self, predict: Predict, conds: Conds, left_out: int) -> list[torch.Tensor] | None:
        """The answers of a pass without a branch, or None where both have to be asked for."""
        before = self._count()
        try:
            answers = predict([None if i == left_out else each for i, each in enumerate(conds)])
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            # One that is not about branches comes again.
            self.may_leave_out = False
            return None
        if self._count() > before:
            self._asked = 1
        elif self._asked:
            self.may_leave_out = False
        return None if self._asked == 2 else answers
