"""The Hugging Face Hub: `hf://datasets/OWNER/NAME[@REVISION][/PREFIX]`; models and spaces alike.

Credentials are those of the `hf` command: HF_TOKEN, or `hf auth login`. Another hub is HF_ENDPOINT.

A repository is one of Git, and each write is a commit. A condition holds because a commit names its parent,
and the object was looked at there. Where others have committed in between, it is looked at again; so a write
fails for what became of its own object alone. The tag of an object is the hub's name of its content, SHA-256
in large file storage and Git's own elsewhere: what is written again as it was keeps its tag.

The hub joins no parts of ours. They are kept in the user's cache, and travel when the upload is completed.
Rules: `huggingface_hub`, whose create_commit, list_repo_tree and get_hf_file_metadata do the work.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from xlabel.errors import InputError, MissingError, StoreError, extra
from xlabel.images import Buffer
from xlabel.stores import cache, file, foreign, writes
from xlabel.stores.folder import Folder
from xlabel.stores.transaction import locked
from xlabel.stores.transport import Part, Stat, Upload, where
from xlabel.stores.waiting import pause

ATTEMPTS = 8
"""Of a commit, between which others may commit; of other requests, the library has six."""
TIMEOUT = 60
"""Seconds for one request that reads."""
BUSY = (408, 429, 500, 502, 503, 504)
"""Answers after which something may be tried again."""
FASTER = (409, 412)
"""Answers to a commit whose parent is no longer the last one."""


def connect(url: str) -> "Repository":
    """The repository and prefix of an `hf://` URL, written as `huggingface_hub` has it."""
    with extra("hf", "hf:// URLs"):
        from huggingface_hub.errors import HfUriError
        from huggingface_hub.utils import parse_hf_uri
    try:
        found = parse_hf_uri(url)
    except HfUriError:
        found = None
    if found is None or found.is_bucket or "?" in url or "#" in url:
        raise InputError("expected hf://datasets/OWNER/NAME[@REVISION][/PREFIX]; credentials are those of hf")
    return Repository(found)


class Repository:
    """A branch of a repository, and the beginning of the names in it."""

    conditional = True
    copies_ranges = False
    keeps_crc64nvme = False
    probed = 0
    part_min = Folder.part_min
    part_max = Folder.part_max
    parts_max = Folder.parts_max

    def __init__(self, place: Any) -> None:
        """`place` is a `huggingface_hub.utils.HfUri`."""
        from huggingface_hub import HfApi, constants
        from huggingface_hub.utils import build_hf_headers

        self.url = str(place.to_uri()).rstrip("/")
        # Not as the library read it when it was imported, which may have been long ago.
        endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        self._api = HfApi(endpoint=endpoint)
        self._headers: dict[str, str] = build_hf_headers()
        self._revision = place.revision or constants.DEFAULT_REVISION
        self._repository = {"repo_id": place.id, "repo_type": place.type}
        self._prefix = f"{place.path_in_repo.strip('/')}/" if place.path_in_repo.strip("/") else ""
        known = hashlib.sha256(f"{endpoint} {self.url}".encode()).hexdigest()[:32]
        self._cache = cache.place("hf", known)
        self._spool = file.connect(str(self._cache))
        self._turn = Lock()

    def head(self, name: str) -> Stat | None:
        with self._told(name, "look"):
            return self._look(name, self._revision)[1]

    def get_ranges(
        self, name: str, ranges: Sequence[tuple[int, int]], if_match: str | None = None
    ) -> list[bytes]:
        return [self._get(name, offset, size, if_match) for offset, size in ranges]

    def put(self, name: str, data: Buffer, *, if_match: str | None = None, absent: bool = False) -> Stat:
        return self._write(name, bytes(data), if_match, absent)

    def create(self, name: str) -> str:
        return self._spool.create(name)

    def uploads(self, name: str) -> list[Upload]:
        return self._spool.uploads(name)

    def unfinished(self, prefix: str = "") -> list[Upload]:
        return self._spool.unfinished(prefix)

    def parts(self, name: str, upload: str) -> list[Part]:
        return self._spool.parts(name, upload)

    def put_part(self, name: str, upload: str, number: int, data: Buffer) -> Part:
        return self._spool.put_part(name, upload, number, data)

    def copy_part(
        self, name: str, upload: str, number: int, source: str, offset: int, size: int, if_match: str
    ) -> Part:
        raise StoreError(f"{where(self, source)}: the hub copies no ranges; upload them")

    def complete(
        self,
        name: str,
        upload: str,
        parts: Sequence[Part],
        *,
        if_match: str | None = None,
        absent: bool = False,
        crc64nvme: str | None = None,
    ) -> Stat:
        # Before it travels in vain.
        writes.check(where(self, name), self.head(name), if_match=if_match, absent=absent)
        self._cache.mkdir(parents=True, exist_ok=True)
        lock = locked(self._cache, wait=True)  # what is joined has one place for each name
        try:
            self._spool.complete(name, upload, parts)
            try:
                return self._write(name, self._cache / name, if_match, absent)
            finally:
                self._spool.delete(name)
        finally:
            os.close(lock)

    def abort(self, name: str, upload: str) -> None:
        self._spool.abort(name, upload)

    def delete(self, name: str) -> None:
        from huggingface_hub import CommitOperationDelete

        with self._told(name, "delete"):
            operation = CommitOperationDelete(self._path(name), is_folder=False)
            self._commit(name, "delete", operation, lambda there: there is None)

    def modified(self, name: str) -> float | None:
        return None  # a file has no time there but those of the commits, one for each write of any file

    def names(self, prefix: str = "") -> list[str]:
        from huggingface_hub import RepoFile
        from huggingface_hub.errors import RemoteEntryNotFoundError

        folder = (self._prefix + prefix).rpartition("/")[0] or None
        with self._told(prefix, "list"):
            try:
                found = list(
                    self._api.list_repo_tree(
                        path_in_repo=folder, recursive=True, revision=self._revision, **self._repository
                    )
                )
            except RemoteEntryNotFoundError:
                return []
        names = [one.path[len(self._prefix) :] for one in found if isinstance(one, RepoFile)]
        return sorted(name for name in names if name.startswith(prefix))

    def close(self) -> None:
        pass

    def _path(self, name: str) -> str:
        if any(part in ("", ".", "..", ".git", ".cache") for part in name.split("/")):
            raise InputError(f"{name!r}: expected the name of an object below {self.url}")
        return self._prefix + name

    def _link(self, name: str, revision: str) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(
            filename=self._path(name), revision=revision, endpoint=self._api.endpoint, **self._repository
        )

    def _look(self, name: str, revision: str) -> tuple[str | None, Stat | None]:
        """The commit that a revision is, and the object in it. A missing one may come without the commit."""
        from huggingface_hub import get_hf_file_metadata
        from huggingface_hub.constants import HUGGINGFACE_HEADER_X_REPO_COMMIT
        from huggingface_hub.errors import RemoteEntryNotFoundError

        try:
            found = get_hf_file_metadata(
                self._link(name, revision),
                headers=self._headers,
                endpoint=self._api.endpoint,
                timeout=TIMEOUT,
                retry_on_errors=True,
            )
        except RemoteEntryNotFoundError as error:
            return error.response.headers.get(HUGGINGFACE_HEADER_X_REPO_COMMIT), None
        if found.etag is None or found.size is None:
            raise StoreError(
                f"{where(self, name)}: expected an answer with ETag and size; is {self._api.endpoint} a hub?"
            )
        return found.commit_hash, Stat(size=found.size, tag=found.etag)

    def _last(self, name: str) -> tuple[str, Stat | None]:
        """The last commit, and the object in it."""
        commit, there = self._look(name, self._revision)
        if commit is None:
            commit = str(self._api.repo_info(revision=self._revision, **self._repository).sha)
            _, there = self._look(name, commit)
        return commit, there

    def _get(self, name: str, offset: int, size: int, if_match: str | None) -> bytes:
        from huggingface_hub.utils import hf_raise_for_status, http_backoff

        if not size:
            return b""
        asked = {"Range": f"bytes={offset}-{offset + size - 1}", "Accept-Encoding": "identity"}
        link = self._link(name, self._revision)
        with self._told(name, "read"):
            # The library's session does not send the token on to the storage that it is sent to.
            answer = http_backoff("GET", link, headers=self._headers | asked, timeout=TIMEOUT)
            if answer.status_code != 416:
                hf_raise_for_status(answer)
        if if_match is not None:
            tag = _tag(answer)
            there = self.head(name) if tag is None else Stat(size=size, tag=tag)
            writes.check(where(self, name), there, if_match=if_match)
        if answer.status_code == 416:
            return b""
        content = bytes(answer.content)
        return content if answer.status_code == 206 else content[offset : offset + size]

    def _write(self, name: str, content: bytes | Path, if_match: str | None, absent: bool) -> Stat:
        """Make bytes, or those of a file, the object."""
        from huggingface_hub import CommitOperationAdd
        from huggingface_hub.utils import disable_progress_bars

        sha256, sha1 = _digests(content)
        with self._told(name, "upload"), disable_progress_bars():
            operation = CommitOperationAdd(self._path(name), content)
            operation.upload_info.sha256 = sha256
            self._api.preupload_lfs_files(
                additions=[operation], revision=self._revision, free_memory=False, **self._repository
            )
            tags = (sha256.hex(), sha1.hex())
            commit = self._commit(
                name,
                "write",
                operation,
                lambda there: there is not None and there.tag in tags,
                lambda there: writes.check(where(self, name), there, if_match=if_match, absent=absent),
            )
            _, made = self._look(name, commit)
        if made is None or made.tag not in tags:
            advice = "does the repository's .gitignore name it, or is somebody else writing here?"
            raise StoreError(
                f"{where(self, name)}: was committed as {commit[:10]} and is not there; {advice}"
            )
        return made

    def _commit(
        self,
        name: str,
        what: str,
        operation: Any,
        done: Callable[[Stat | None], bool],
        check: Callable[[Stat | None], None] = lambda there: None,
    ) -> str:
        """The commit in which an object is as it should be: that of an operation, or the last one."""
        from httpx2 import TransportError
        from huggingface_hub.errors import HfHubHTTPError

        unsure = False
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(pause(attempt - 1))
            with self._turn:
                commit, there = self._last(name)
                if not (unsure and done(there)):  # a commit of ours whose answer was lost is no conflict
                    check(there)
                if done(there):
                    return commit
                try:
                    made = self._api.create_commit(
                        operations=[operation],
                        commit_message=f"xlabel: {what} {self._path(name)}",
                        revision=self._revision,
                        parent_commit=commit,
                        **self._repository,
                    )
                    return str(made.oid)
                except HfHubHTTPError as error:
                    status = error.response.status_code
                    if status not in FASTER + BUSY or (status in BUSY and attempt + 1 == ATTEMPTS):
                        raise
                    unsure = unsure or status not in (*FASTER, 429)
                except TransportError:
                    if attempt + 1 == ATTEMPTS:
                        raise
                    unsure = True
        raise StoreError(
            f"{where(self, name)}: {ATTEMPTS} times others have committed first; try again later"
        )

    @contextmanager
    def _told(self, name: str, asked: str) -> Iterator[None]:
        from httpx2 import HTTPError
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        try:
            yield
        except HfHubHTTPError as error:
            raise self._answered(name, asked, error) from None
        except OfflineModeIsEnabled:
            raise foreign.failed(where(self, name), asked, "HF_HUB_OFFLINE is set", "unset it") from None
        except HTTPError as error:
            raise foreign.failed(where(self, name), asked, error, "is the network there?") from None
        except (RuntimeError, ValueError, OSError) as error:  # of uploads, in which the library has threads
            if isinstance(error.__cause__, HfHubHTTPError):
                raise self._answered(name, asked, error.__cause__) from None
            raise foreign.failed(where(self, name), asked, error.__cause__ or error, "try again") from None

    def _answered(self, name: str, asked: str, error: Any) -> StoreError:
        from huggingface_hub import errors

        kind: type[StoreError] = StoreError
        status, place = int(error.response.status_code), where(self, name)
        repository, of = self._repository["repo_id"], self._repository["repo_type"]
        if isinstance(error, errors.GatedRepoError):
            advice = f"ask for access at {self._api.endpoint}"
        elif isinstance(error, errors.RepositoryNotFoundError):
            kind, place = MissingError, self.url
            advice = (
                f"hf repos create {repository} --repo-type {of} makes it, hf auth login shows private ones"
            )
        elif isinstance(error, errors.RevisionNotFoundError):
            kind, advice = MissingError, f"is there a branch {self._revision}?"
        elif status == 404:
            kind, advice = MissingError, "it was deleted, or never there"
        elif status in (401, 403):
            advice = "try hf auth login, with a token that may write there"
        elif status in BUSY:
            advice = "the hub is too busy, or has had enough of us; try again later"
        else:
            advice = "see the message"
        return foreign.refused(kind, place, asked, error.server_message or error, status, advice)


def _tag(answer: Any) -> str | None:
    """What the hub said the content is. The storage behind it has names of its own for the same."""
    for one in (*answer.history, answer):
        if linked := one.headers.get("X-Linked-Etag"):
            return str(linked).strip('"')
    etag = answer.headers.get("ETag")
    return None if etag is None else str(etag).removeprefix("W/").strip('"')


def _digests(content: bytes | Path) -> tuple[bytes, bytes]:
    """SHA-256, and the SHA-1 that Git has of a blob."""
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    if isinstance(content, bytes):
        sha256.update(content)
        sha1.update(content)
        return sha256.digest(), sha1.digest()
    with open(content, "rb") as blocks:
        while block := blocks.read(1 << 20):
            sha256.update(block)
            sha1.update(block)
    return sha256.digest(), sha1.digest()
