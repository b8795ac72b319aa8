"""How options that a person writes are read."""

from types import SimpleNamespace

import pytest

from xlabel.options import bytes_of


@pytest.mark.parametrize(
    ("text", "count"),
    [("500k", 500_000), ("10M", 10_000_000), ("1.5GB", 1_500_000_000), ("10 MB/s", 10_000_000), ("12", 12)],
)
def test_bytes_a_second_are_read_as_people_write_them(text: str, count: int) -> None:
    assert bytes_of(int, [SimpleNamespace(value=text)]) == count


@pytest.mark.parametrize("text", ["", "fast", "0", "-1M", "10Mb", "10Mbit", "1e6", "5T"])
def test_what_is_no_number_of_bytes_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500k, 10M"):
        bytes_of(int, [SimpleNamespace(value=text)])
