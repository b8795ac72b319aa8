"""Reading ahead: few requests, little memory, and the bytes that were asked for."""

import os
import random
import signal
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlabel.jobs.ranges import Ahead, Range, Turns, coalesced, cut

DATA = random.Random(1).randbytes(200_000)
ranges = st.lists(st.tuples(st.integers(0, 150_000), st.integers(0, 50_000)), max_size=30)


def read(wanted: Sequence[Range]) -> list[bytes]:
    return [DATA[offset : offset + size] for offset, size in wanted]


@given(wanted=ranges, gap=st.integers(0, 100_000), most=st.integers(1, 200_000))
def test_coalesced_reads_hold_what_was_asked_for(wanted: list[Range], gap: int, most: int) -> None:
    reads = coalesced(wanted, gap, most)
    assert cut(wanted, reads, read(reads)) == read(wanted)
    longest = max((size for _, size in wanted), default=0)
    assert all(size <= max(most, longest) for _, size in reads)
    assert len(reads) <= len(wanted)


def test_neighbours_are_one_read_and_what_lies_far_apart_is_not() -> None:
    assert coalesced([(100, 10), (0, 90), (5000, 10)], gap=50, most=1000) == [(0, 110), (5000, 10)]
    assert coalesced([(0, 600), (600, 600)], gap=50, most=1000) == [(0, 600), (600, 600)]


class Store:
    """A store that counts what is asked of it at once."""

    def __init__(self, delay: float = 0.002) -> None:
        self.delay, self.requests, self.at_once, self.most = delay, 0, 0, 0
        self._lock = threading.Lock()

    def fetch(self, wanted: Sequence[Range]) -> list[bytes]:
        with self._lock:
            self.requests += len(wanted)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(self.delay)
        with self._lock:
            self.at_once -= 1
        return read(wanted)


COUNT, SIZE, IN_BLOCK = 400, 500, 20


def ahead(store: Store, sequence: list[int], blocks: int = 4) -> Ahead:
    turns = Turns(np.array(sequence), np.arange(COUNT) // IN_BLOCK)
    return Ahead(store.fetch, turns, lambda turn: (sequence[turn] * SIZE, SIZE), blocks)


@pytest.mark.parametrize("order", ["along", "shuffled"])
def test_each_turn_gets_its_bytes_by_one_request_a_block(order: str) -> None:
    sequence = list(range(COUNT))
    if order == "shuffled":
        random.Random(2).shuffle(sequence)
    store = Store()
    reader = ahead(store, sequence)
    for turn, number in enumerate(sequence):
        assert reader.take(turn) == DATA[number * SIZE : (number + 1) * SIZE]
    reader.close()
    assert store.requests == COUNT // IN_BLOCK
    assert 1 < store.most <= 4


def test_turns_may_be_left_out_and_their_bytes_are_let_go_of() -> None:
    store = Store(0)
    reader = ahead(store, list(range(COUNT)))
    for turn in range(0, COUNT, 7):
        assert reader.take(turn) == DATA[turn * SIZE : (turn + 1) * SIZE]
        assert len(reader._held) < IN_BLOCK
    assert not reader._pending
    reader.close()


def test_whole_blocks_that_are_left_out_do_not_stop_the_reading_ahead() -> None:
    store = Store(0)
    reader = ahead(store, list(range(COUNT)), blocks=2)
    reader.take(0)
    assert reader.take(COUNT - 1) == DATA[(COUNT - 1) * SIZE : COUNT * SIZE]
    assert not reader._pending and store.requests < 8
    reader.close()


def test_what_a_read_raises_is_raised_at_its_turn_and_the_next_try_may_do_better() -> None:
    failing = [True]

    def fetch(wanted: Sequence[Range]) -> list[bytes]:
        if wanted[0][0] == IN_BLOCK * SIZE and failing[0]:
            raise ConnectionError("gone")
        return read(wanted)

    turns = Turns(np.arange(COUNT), np.arange(COUNT) // IN_BLOCK)
    reader = Ahead(fetch, turns, lambda turn: (turn * SIZE, SIZE), 2)
    assert reader.take(0) == DATA[:SIZE]
    with pytest.raises(ConnectionError):
        reader.take(IN_BLOCK)
    failing.clear()
    failing.append(False)
    assert reader.take(IN_BLOCK) == DATA[IN_BLOCK * SIZE : (IN_BLOCK + 1) * SIZE]
    assert reader.take(IN_BLOCK + 1) == DATA[(IN_BLOCK + 1) * SIZE : (IN_BLOCK + 2) * SIZE]
    reader.close()


def test_nothing_is_read_before_it_is_asked_for() -> None:
    store = Store(0)
    ahead(store, list(range(COUNT))).close()
    assert store.requests == 0


def test_after_the_end_what_is_asked_for_is_read_by_itself() -> None:
    store = Store(0)
    reader = ahead(store, list(range(COUNT)))
    assert reader.take(3) == DATA[3 * SIZE : 4 * SIZE]
    reader.close()
    for turn in (4, 2, COUNT - 1):
        assert reader.take(turn) == DATA[turn * SIZE : (turn + 1) * SIZE]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_in_mid_epoch_reads_on_in_both_processes() -> None:
    reader = ahead(Store(), list(range(COUNT)))
    reader.take(0)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            right = all(reader.take(n) == DATA[n * SIZE : (n + 1) * SIZE] for n in range(1, COUNT))
            reader.close()
            os._exit(0 if right else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert all(reader.take(n) == DATA[n * SIZE : (n + 1) * SIZE] for n in range(1, COUNT))
    reader.close()
