"""Values: tensors, or tuples of tensors, with the batch in front."""

from __future__ import annotations

import pytest
import torch
from stepcache.cache_core.values import (
    Value,
    copy,
    difference,
    is_on_processor,
    join,
    nbytes,
    pairs,
    split,
)


def column(*rows: float) -> torch.Tensor:
    """One number per row of the batch."""
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 1)


def numbers(value: Value) -> list[float] | list[list[float]]:
    if isinstance(value, tuple):
        return [numbers(item) for item in value]
    return value.flatten().tolist()


def test_split_cuts_the_batch_into_equal_parts() -> None:
    parts = split(column(1, 2, 3, 4), 2)
    assert [numbers(part) for part in parts] == [[1, 2], [3, 4]]


def test_split_into_one_part_is_the_whole_batch() -> None:
    assert [numbers(part) for part in split(column(1, 2, 3), 1)] == [[1, 2, 3]]


def test_split_cuts_every_tensor_of_a_tuple() -> None:
    image, text = column(1, 2, 3, 4), column(10, 20)
    parts = split((image, text), 2)
    assert [numbers(part) for part in parts] == [[[1, 2], [10]], [[3, 4], [20]]]


def test_split_makes_views() -> None:
    whole = column(1, 2)
    split(whole, 2)[1].fill_(9)
    assert numbers(whole) == [1, 9]


def test_split_refuses_a_batch_that_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="a batch of 3 cannot be split into 2 streams"):
        split(column(1, 2, 3), 2)
    with pytest.raises(ValueError, match="a batch of 3 cannot be split into 2 streams"):
        split((column(1, 2), column(1, 2, 3)), 2)


def test_join_undoes_split() -> None:
    assert numbers(join(split(column(1, 2, 3, 4), 2))) == [1, 2, 3, 4]
    pair = (column(1, 2, 3, 4), column(10, 20))
    assert numbers(join(split(pair, 2))) == [[1, 2, 3, 4], [10, 20]]


@pytest.mark.parametrize("streams", [1, 2])
def test_what_join_returns_can_be_written_to(streams: int) -> None:
    stored = [column(1), column(2)][:streams]
    joined = join(stored)
    assert isinstance(joined, torch.Tensor)
    joined.fill_(9)
    assert [numbers(value) for value in stored] == [[1], [2]][:streams]


def test_what_join_returns_of_one_tuple_can_be_written_to() -> None:
    stored = (column(1), column(2))
    joined = join([stored])
    assert isinstance(joined, tuple)
    for item in joined:
        assert isinstance(item, torch.Tensor)
        item.fill_(9)
    assert numbers(stored) == [[1], [2]]


def test_a_copy_keeps_its_numbers_when_the_original_is_overwritten() -> None:
    original = (column(1, 2), (column(3), column(4)))
    copied = copy(original)
    for tensor in (original[0], *original[1]):
        tensor.zero_()
    assert numbers(copied) == [[1, 2], [[3], [4]]]


def test_a_copy_belongs_to_no_graph() -> None:
    trained = column(1, 2).requires_grad_()
    copied = copy(trained * 2)
    assert isinstance(copied, torch.Tensor)
    assert not copied.requires_grad


def test_bytes_are_numbers_times_their_width() -> None:
    assert nbytes(torch.zeros(2, 3)) == 24
    assert nbytes(torch.zeros(2, 3, dtype=torch.float16)) == 12
    assert nbytes(torch.zeros(0, 3)) == 0
    nested = (torch.zeros(2, 3), (torch.zeros(5, dtype=torch.float16), torch.zeros(1)))
    assert nbytes(nested) == 24 + 10 + 4


def test_where_a_value_lies_is_known_of_anything() -> None:
    elsewhere = torch.empty(2, 1, device="meta")
    for output in (column(1.0), (column(1.0), None), [column(1.0)], None, 3):
        assert is_on_processor(output)
    for output in (elsewhere, (column(1.0), elsewhere)):
        assert not is_on_processor(output)


def test_a_difference_has_the_structure_of_the_value() -> None:
    given = (column(1, 2), column(5))
    assert numbers(difference(column(4, 6), column(1, 2))) == [3, 4]
    assert numbers(difference((column(4, 6), column(6)), given)) == [[3, 4], [1]]
    ended = difference((column(4, 6), None), given)
    assert isinstance(ended, tuple)
    assert ended[1] is None, "a stream that the last block leaves out"
    ((value, base),) = pairs((column(4, 6), None), given)
    assert (numbers(value), numbers(base)) == ([4, 6], [1, 2])


@pytest.mark.parametrize(
    "value",
    [column(1), (column(1, 2),), (column(1), column(5)), (column(1, 2), column(5), None)],
)
def test_of_what_does_not_fit_there_is_no_difference(value: Value) -> None:
    given = (column(1, 2), column(5))
    with pytest.raises(ValueError):
        difference(value, given)
    with pytest.raises(ValueError):
        list(pairs(value, given))
