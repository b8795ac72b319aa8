"""What many tests share: the awkward folder, and its packs of every kind, made once."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import xlabel
from tests import awkward
from tests.stores import servers

KINDS = {"mp4": "media.mp4", "plain": "media.mp4", "tar": "media.tar", "zip": "media.zip"}
"""Kinds of bundles, and the names of their media files; plain is an .mp4 without ZIP face."""

# How long an example takes says how busy the machine is: other tests run at the same time.
settings.register_profile("side by side", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("side by side")


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the tests' own, in place of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def awkward_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The awkward folder. Only to be read."""
    return awkward.build(tmp_path_factory.mktemp("awkward") / "images")


@pytest.fixture(scope="session")
def awkward_packs(awkward_images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind -> media file of the awkward folder's pack. Only to be read."""
    packs = {}
    for kind, name in KINDS.items():
        folder = tmp_path_factory.mktemp(kind) / "pack"
        xlabel.pack(awkward_images, None, folder, media=name, plain=kind == "plain")
        packs[kind] = folder / name
    return packs


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Start]:
    """A server of others by its name, started when a test first asks for it."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        with suppress(ImportError):  # without it each new client reads anew what S3 is
            from botocore.loaders import create_loader

            patch.setattr("botocore.session.create_loader", cache(create_loader))

        @cache
        def started(name: str) -> servers.Place:
            return stack.enter_context(servers.PLACES[name](tmp_path_factory.mktemp(name) / "place"))

        yield started


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of bundle in turn."""
    return str(request.param)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Push is tried on three stores each time, and on the others where there is time for all of them."""
    if os.environ.get("XLABEL_LONG"):
        return
    for item in items:
        place = getattr(item, "callspec", None) and item.callspec.params.get("place")  # type: ignore[attr-defined]
        named = item.path.name.startswith(("test_push", "test_rebase"))
        if named and isinstance(place, str) and place not in ("file", "s3", "azure"):
            item.add_marker(pytest.mark.skip(reason="XLABEL_LONG asks for push on every store"))
