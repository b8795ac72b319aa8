"""What stores have in common: another try, a write whose answer was lost."""

import pytest

from xlabel.errors import ConflictError, MissingError, StoreError
from xlabel.stores import waiting
from xlabel.stores.waiting import retried
from xlabel.stores.writes import unless_done


class Server:
    """Answers with errors for a while; then with the number of the try."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    def ask(self) -> int:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.asked


def is_busy(error: Exception) -> bool:
    return isinstance(error, TimeoutError)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The attempts that were waited after."""
    found: list[int] = []

    def pause(attempt: int) -> float:
        found.append(attempt)
        return 0.0

    monkeypatch.setattr(waiting, "pause", pause)
    return found


@pytest.mark.parametrize("busy", range(4))
def test_what_passes_is_tried_again_after_a_pause(busy: int, pauses: list[int]) -> None:
    server = Server(*[TimeoutError()] * busy)
    assert retried(server.ask, 4, is_busy) == busy + 1
    assert pauses == list(range(busy))


def test_what_does_not_pass_is_told_after_so_many_attempts(pauses: list[int]) -> None:
    server = Server(*[TimeoutError()] * 9)
    with pytest.raises(TimeoutError):
        retried(server.ask, 4, is_busy)
    assert server.asked == 4
    assert pauses == [0, 1, 2]


def test_what_no_waiting_helps_is_told_at_once(pauses: list[int]) -> None:
    server = Server(TimeoutError(), PermissionError())
    with pytest.raises(PermissionError):
        retried(server.ask, 4, is_busy)
    assert server.asked == 2
    assert pauses == [0]


@pytest.mark.parametrize("error", [ConflictError("conflict"), MissingError("missing")])
def test_a_write_that_was_done_before_its_answer_was_lost_is_no_conflict(error: StoreError) -> None:
    with unless_done("ours", lambda: "ours"):
        raise error
    for there in ("theirs", None):
        with pytest.raises(type(error)), unless_done("ours", lambda there=there: there):
            raise error


def test_a_write_that_failed_is_not_looked_for() -> None:
    def look() -> str:
        raise AssertionError

    with pytest.raises(StoreError, match="busy"), unless_done("ours", look):
        raise StoreError("busy")
