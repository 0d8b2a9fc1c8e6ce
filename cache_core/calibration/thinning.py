"""Which numbers of a value are compared, so that whole activations need not be kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch

from ..values import Value, pairs

ELEMENTS = 2**10
"""Numbers of one branch's value that are compared at a site. Their mean over all layers and latents
is what counts, and whole activations would not fit: a large video model's are 300 MB per layer."""

MIN_ELEMENTS = 2**8
"""Numbers of one latent at least, however many share the branch's: each has a ratio of its own."""


@dataclass(frozen=True, slots=True)
class Thinning:
    """So many numbers of every stream, or all if there are fewer.

    Args:
        rows: of the whole value.
        shape: of what is left for one stream, (rows, numbers).
        stride: every so manieth number of a row is left.
        widths: how many numbers of a row each tensor of the value leaves.
        dtype, device: of what is left.
    """

    rows: int
    shape: tuple[int, int]
    stride: int
    widths: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, parts: Sequence[torch.Tensor], streams: int, elements: int) -> Thinning | None:
        """For values like this one; None where nothing was returned, or something that cannot be
        divided among the streams.

        Args:
            elements: numbers of one stream that are left, unless its latents are so many that each
                would have less than MIN_ELEMENTS.
        """
        filled = [part for part in parts if part.numel()]
        lengths = {len(part) for part in filled}
        if not lengths or any(length % streams for length in lengths):
            return None
        # SeedVR2 has all tokens of a batch in one sequence, and those of the prompt in another.
        rows = lengths.pop() if len(lengths) == 1 else streams
        row = sum(part.numel() // rows for part in filled)
        wanted = max(elements * streams // rows, min(elements, MIN_ELEMENTS))
        stride = _prime_from(math.ceil(row / wanted))
        widths = tuple([math.ceil(part.numel() // rows / stride) for part in parts])
        is_double = any(part.dtype == torch.float64 for part in filled)
        dtype = torch.float64 if is_double else torch.float32
        shape = rows // streams, sum(widths)
        return cls(rows, shape, stride, widths, dtype, filled[0].device)

    def copy(
        self,
        parts: Sequence[torch.Tensor],
        places: Sequence[torch.Tensor | None],
        bases: Sequence[torch.Tensor] = (),
    ) -> None:
        """Copy what is left of a value to equal places, in batch order; None leaves it out.

        A copy, as a view would keep whole activations alive, and see what is written there.

        Args:
            bases: copied is then what each part adds to its base; whole differences take memory
                that the system may have to be asked for in every step.
        """
        if len(parts) == len(places) == 1:
            # Nearly always, and every layer comes by here in every step.
            (part,), (place,) = parts, places
            if place is not None:
                place.copy_(self._thin(part))
                for base in bases:
                    place.sub_(self._thin(base))
            return
        first = 0
        for number, (part, width) in enumerate(zip(parts, self.widths, strict=True)):
            if not width:
                continue
            thin = self._thin(part)
            if bases:
                thin = thin.to(self.dtype) - self._thin(bases[number])
            chunks = (thin,) if len(places) == 1 else thin.chunk(len(places))
            for place, values in zip(places, chunks, strict=True):
                if place is not None:
                    into = place if len(parts) == 1 else place[:, first : first + width]
                    into.copy_(values)
            first += width

    def _thin(self, part: torch.Tensor) -> torch.Tensor:
        """A view of every so manieth number of each row, shape (rows, numbers)."""
        if part.requires_grad:
            part = part.detach()
        if not part.is_contiguous():
            return part.reshape(self.rows, -1)[:, :: self.stride]
        # The same in one operation.
        row = part.numel() // self.rows
        return part.as_strided((self.rows, -(-row // self.stride)), (row, self.stride))


@cache
def _prime_from(number: int) -> int:
    """The next prime, or 1: a stride that does not follow a picture's rows or channels."""
    while any(number % d == 0 for d in range(2, math.isqrt(number) + 1)):
        number += 1
    return number


Tensors = tuple[torch.Tensor, ...]


def tensors_of(value: Value, base: Value) -> tuple[Tensors, Tensors]:
    """The tensors of a value without what it leaves out, and those of its base, if it has one.

    None of both where the two do not fit.
    """
    if base is None:
        return ((value,) if isinstance(value, torch.Tensor) else tuple(_tensors(value))), ()
    try:
        both = list(pairs(value, base))
    except ValueError:
        return (), ()
    return tuple([each for each, _ in both]), tuple([each for _, each in both])


def _tensors(value: Value) -> Iterator[torch.Tensor]:
    if isinstance(value, tuple):
        for item in value:
            yield from _tensors(item)
    elif value is not None:
        yield value
