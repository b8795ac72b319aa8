"""Google Cloud Storage, by an emulator that composes objects, and takes every condition for granted."""

from collections.abc import Iterator

import pytest
from tests.stores.servers import Start

from xlabel.errors import MissingError, StoreError
from xlabel.stores.transport import Transport, open_store


@pytest.fixture
def store(start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transport]:
    place = start("gcs")
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    opened = open_store(f"{place.url}/gcs")
    yield opened
    opened.close()


def test_more_parts_than_are_composed_at_a_time_keep_their_order(store: Transport) -> None:
    begun = store.create("media")
    parts = [store.put_part("media", begun, number, b"%d," % number) for number in range(1, 71)]
    store.complete("media", begun, parts)
    wanted = b"".join(b"%d," % number for number in range(1, 71))
    assert store.get_ranges("media", [(0, 1000)]) == [wanted]
    assert store.names() == ["media"]
    assert store.uploads("media") == []


def test_a_bucket_that_is_not_there_is_told(store: Transport) -> None:
    other = open_store("gs://elsewhere")
    with pytest.raises(MissingError, match=r"gs://elsewhere: .*is the bucket the right one\?"):
        other.head("media")
    other.close()


def test_no_account_is_told(store: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    with pytest.raises(StoreError, match=r"gs://lab: .*gcloud auth application-default login"):
        open_store("gs://lab")
