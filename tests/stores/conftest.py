"""Servers of others, each started once when a test asks for it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from tests.stores import servers
from tests.stores.servers import Place

Start = Callable[[str], Place]


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Gives a place out of `servers.PLACES` by its name."""
    with ExitStack() as stack:

        @cache
        def started(name: str) -> Place:
            return stack.enter_context(servers.PLACES[name](tmp_path_factory.mktemp(name) / "place"))

        yield started
