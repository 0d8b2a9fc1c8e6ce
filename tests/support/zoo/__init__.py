"""A tiny model of every family, each group in its file."""

from __future__ import annotations

from toy import Toy

from . import crossed, double_stream, joint, others, unets

TOYS: dict[str, Toy] = {
    **double_stream.TOYS,
    **joint.TOYS,
    **crossed.TOYS,
    **others.TOYS,
}

UNETS: dict[str, Toy] = unets.TOYS
"""Further models on the host's UNet. The mechanism is the same, so a few laws are enough."""
