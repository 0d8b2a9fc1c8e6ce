"""The store: what it keeps, and how many bytes that is."""

from __future__ import annotations

import pytest
import torch
from session_bench import stream_key
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.sites import Site, SiteKind
from stepcache.cache_core.store import Store
from stepcache.cache_core.streams import StreamKey

SITE = Site(SiteKind.SELF_ATTENTION, 0)
NEXT_SITE = Site(SiteKind.SELF_ATTENTION, 1)
A, B, C = (stream_key(0, uuid) for uuid in "abc")


def floats(count: int, value: float = 0.0) -> torch.Tensor:
    """`count` numbers of four bytes each."""
    return torch.full((1, count), value)


def stored(store: Store, site: Site, whose: StreamKey) -> list[list[float]]:
    """The numbers of a stream's past."""
    entry = store.get(site, whose)
    assert entry is not None
    return [value.flatten().tolist() for value in entry.history if isinstance(value, torch.Tensor)]


def test_a_new_store_is_empty() -> None:
    store = Store()
    assert store.get(SITE, A) is None
    assert (store.nbytes, store.peak_nbytes) == (0, 0)


def test_a_value_is_found_under_its_own_site_and_stream_only() -> None:
    store = Store()
    store.put(SITE, A, (floats(2, 7.0),), step=3)
    assert stored(store, SITE, A) == [[7.0, 7.0]]
    assert store.get(SITE, B) is None
    assert store.get(NEXT_SITE, A) is None


def test_bytes_add_up_over_sites_streams_and_pasts() -> None:
    store = Store()
    store.put(SITE, A, (floats(1),), step=0)
    assert store.nbytes == 4
    store.put(SITE, B, (floats(2), floats(3)), step=0)
    assert store.nbytes == 4 + 8 + 12
    store.put(NEXT_SITE, A, ((floats(4), floats(5)),), step=0)
    assert store.nbytes == 4 + 8 + 12 + 16 + 20


def test_a_new_value_frees_the_one_it_replaces() -> None:
    store = Store()
    store.put(SITE, A, (floats(10, 1.0),), step=0)
    store.put(SITE, A, (floats(3, 2.0),), step=5)
    assert store.nbytes == 12
    assert stored(store, SITE, A) == [[2.0, 2.0, 2.0]]


def test_a_new_value_has_a_step_of_its_own_and_no_reuses() -> None:
    store = Store()
    store.put(SITE, A, (floats(1),), step=0)
    old = store.get(SITE, A)
    assert old is not None and old.step == 0
    old.reuses = 2
    store.put(SITE, A, (floats(1),), step=5)
    new = store.get(SITE, A)
    assert new is not None
    assert (new.step, new.reuses) == (5, 0)


def test_a_past_that_grows_keeps_what_is_stored_already() -> None:
    store = Store()
    store.put(SITE, A, (floats(1, 1.0),), step=0)
    before = store.get(SITE, A)
    assert before is not None
    (first,) = before.history
    store.put(SITE, A, (first, floats(1, 2.0)), step=1)
    after = store.get(SITE, A)
    assert after is not None
    assert after.history[0] is first, "it was copied a second time"
    assert stored(store, SITE, A) == [[1.0], [2.0]]
    assert store.nbytes == 8


def test_what_is_written_into_the_source_does_not_reach_the_store() -> None:
    store, source = Store(), floats(2, 7.0)
    store.put(SITE, A, (source,), step=0)
    source.fill_(-1.0)
    assert stored(store, SITE, A) == [[7.0, 7.0]]


def test_a_view_is_stored_without_the_rest_of_its_batch() -> None:
    store, batch = Store(), torch.zeros(100, 2)
    store.put(SITE, A, (batch[:1],), step=0)
    entry = store.get(SITE, A)
    assert entry is not None
    (value,) = entry.history
    assert isinstance(value, torch.Tensor)
    assert value.untyped_storage().nbytes() == store.nbytes == 8


def test_beyond_the_bound_the_stream_that_was_not_used_longest_is_dropped() -> None:
    store = Store(max_streams=2)
    store.put(SITE, A, (floats(1),), step=0)
    store.put(SITE, B, (floats(10),), step=0)
    assert store.get(SITE, A) is not None  # now B is the one that was not used longest
    store.put(SITE, C, (floats(100),), step=0)
    assert store.get(SITE, B) is None
    assert store.get(SITE, A) is not None
    assert store.get(SITE, C) is not None
    assert store.nbytes == 4 + 400


def test_the_bound_is_per_site() -> None:
    store = Store(max_streams=1)
    store.put(SITE, A, (floats(1),), step=0)
    store.put(NEXT_SITE, B, (floats(1),), step=0)
    assert store.get(SITE, A) is not None
    assert store.get(NEXT_SITE, B) is not None


def test_storing_a_stream_again_drops_no_other() -> None:
    store = Store(max_streams=2)
    store.put(SITE, A, (floats(1),), step=0)
    store.put(SITE, B, (floats(1),), step=0)
    store.put(SITE, B, (floats(1),), step=1)
    assert store.get(SITE, A) is not None


def test_clear_drops_everything_and_remembers_the_peak() -> None:
    store = Store()
    store.put(SITE, A, (floats(10),), step=0)
    store.put(SITE, A, (floats(1),), step=1)
    assert (store.nbytes, store.peak_nbytes) == (4, 40)
    store.clear()
    assert (store.nbytes, store.peak_nbytes) == (0, 40)
    assert store.get(SITE, A) is None


def test_a_cleared_store_counts_from_0() -> None:
    store = Store()
    store.put(SITE, A, (floats(10),), step=0)
    store.clear()
    store.put(SITE, A, (floats(2),), step=0)
    assert store.nbytes == 8


def test_what_other_sites_returned_is_added_in_the_same_memory() -> None:
    store = Store()
    store.put(SITE, A, ((floats(2, 1.0), floats(1, 5.0)),), step=3)
    assert store.add(SITE, A, NEXT_SITE, (floats(2, 10.0), floats(1, 20.0)))
    store.settle(SITE, A)
    entry = store.get(SITE, A)
    assert entry is not None and isinstance(entry.history[0], tuple)
    assert [each.flatten().tolist() for each in entry.history[0]] == [[11.0, 11.0], [25.0]]
    assert (entry.step, entry.others) == (3, {NEXT_SITE})
    assert store.nbytes == store.peak_nbytes == 12
    assert store.get(NEXT_SITE, A) is None


def test_what_does_not_fit_is_not_added() -> None:
    store = Store()
    assert not store.add(SITE, A, NEXT_SITE, floats(2))
    store.put(SITE, A, ((floats(2, 1.0), floats(2, 1.0)),), step=0)
    for other in (floats(2), (floats(2), None), (floats(2), floats(3))):
        assert not store.add(SITE, A, NEXT_SITE, other)
    entry = store.get(SITE, A)
    assert entry is not None and isinstance(entry.history[0], tuple) and not entry.others
    assert [each.flatten().tolist() for each in entry.history[0]] == [[1.0, 1.0], [1.0, 1.0]]


def test_a_new_value_is_a_sum_of_nothing_else() -> None:
    store = Store()
    store.put(SITE, A, (floats(1, 1.0),), step=0)
    store.add(SITE, A, NEXT_SITE, floats(1, 2.0))
    store.put(SITE, A, (floats(1, 7.0),), step=1)
    entry = store.get(SITE, A)
    assert entry is not None and not entry.others
    assert stored(store, SITE, A) == [[7.0]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_added_up_as_float32_and_rounded_once(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(1, 100, generator=generator).to(dtype) for _ in range(40)]
    store = Store()
    store.put(SITE, A, (values[0],), step=0)
    total = values[0].float()
    for value in values[1:]:
        store.add(SITE, A, NEXT_SITE, value)
        total += value.float()
    assert store.nbytes == 400, "while it grows"
    store.settle(SITE, A)
    entry = store.get(SITE, A)
    assert entry is not None and isinstance(entry.history[0], torch.Tensor)
    assert torch.equal(entry.history[0], total.to(dtype))
    assert (store.nbytes, store.peak_nbytes) == (200, 400)


def test_times_are_kept_beside_values_and_take_no_bytes() -> None:
    store, line = Store(), Timeline.even(4)
    times = line.clock(0, half_log_snr=-1.0), line.clock(1, half_log_snr=0.5)
    store.put(SITE, A, (floats(2), floats(2)), step=1, times=times)
    store.put(SITE, B, (floats(2),), step=1)
    one, other = store.get(SITE, A), store.get(SITE, B)
    assert one is not None and other is not None
    assert (one.times, other.times) == (times, ())
    assert store.nbytes == 8 + 8 + 8
