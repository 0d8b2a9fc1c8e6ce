"""How long a test waits for what has to come."""

from __future__ import annotations

HANG = 600.0
"""Seconds after which a wait is an error. It ends what hangs, and decides nothing else."""
