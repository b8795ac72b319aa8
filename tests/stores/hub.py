"""A stand-in for the Hugging Face Hub: what `huggingface_hub` asks of it for one repository, and no more.

The hub itself cannot be installed. What is here is Git's (repository, names of blobs and commits, a branch
that moves only from the commit that it was read at); what is between Git and the client follows the hub's
documentation and the client's source: which header says what, 412 for a parent that is no longer the last
commit, large files as pointers of Git LFS, their bytes in a storage of another origin that refuses tokens.

What comes by xet goes to the storage that `hf_xet` itself makes in a folder, and is read from it by `hf_xet`.
"""

import base64
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_standin"
NAME = "lab/pack"
POINTER = b"version https://git-lfs.github.com/spec/v1\n"
ATTRIBUTES = "*.mp4 filter=lfs diff=lfs merge=lfs -text\n*.gz filter=lfs diff=lfs merge=lfs -text\n"
"""As each new repository has them, but for more endings."""
LARGE = 10 << 20
"""Bytes from which the hub takes a file as a large one, whatever its name."""


FETCH = """
import sys, hf_xet
endpoint, name, size, path = sys.argv[1:]
with hf_xet.XetSession().new_file_download_group(endpoint=endpoint) as group:
    group.start_download_file(hf_xet.XetFileInfo(name, int(size)), path)
"""
"""A program, since `hf_xet` has threads of its own, and tests fork."""


class Refused(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, message: str, code: str = "", **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = headers | ({"X-Error-Code": code} if code else {})


class Entry(NamedTuple):
    """A file in a commit. Of a large one, `sha256` names its bytes."""

    path: str
    blob: str
    size: int
    sha256: str | None
    pointer: int


class Hub:
    """A repository of datasets, with its branch `main`; its attributes may be set at any time."""

    page = 1000
    """Entries of one answer that lists."""

    def __init__(self, place: Path) -> None:
        self.refuse: list[int] = []
        """Statuses that the next commits are answered with, instead of being done."""
        self.lose: list[int] = []
        """Statuses that the next commits are answered with although they are done; 0: not answered at all."""
        self.before_commit: list[Callable[[], None]] = []
        """What happens just before the next commits are looked at."""
        self.ranges = True
        """Whether a part of an object is sent where a part is asked for."""
        self.busy: list[tuple[int, dict[str, str]]] = []
        """Status and headers that the next reads are answered with."""
        self.uploaded = 0
        """Bytes that the storage was sent."""
        self.tokens_at_storage = 0
        self.endpoint = self.storage = ""
        self.cas = place / "cas"
        """Where `hf_xet` keeps what comes by xet."""
        self._repo, self._large = place / "repo.git", place / "lfs"
        self._large.mkdir(parents=True)
        self._turn = threading.Lock()
        subprocess.run(["git", "init", "-q", "--bare", str(self._repo)], check=True)
        blob = self.blob(ATTRIBUTES.encode())
        self.write([f"100644 {blob}\t.gitattributes"], None, "initial commit")

    def git(self, *command: str, data: bytes = b"", index: str = "") -> bytes:
        """What a command of Git says."""
        who = {f"GIT_{one}_{what}": "lab" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        env = {**os.environ, **who, "GIT_DIR": str(self._repo)}
        if index:
            env["GIT_INDEX_FILE"] = index
        done = subprocess.run(["git", *command], input=data, env=env, capture_output=True, check=True)
        return done.stdout

    def blob(self, data: bytes) -> str:
        """The name of bytes that Git then has."""
        return self.git("hash-object", "-w", "--stdin", data=data).decode().strip()

    def write(self, lines: list[str], parent: str | None, summary: str) -> str:
        """A commit of changes, as `git update-index` reads them, on the branch where it is still `parent`."""
        index = str(self._repo / f"index.{threading.get_ident()}")
        Path(index).unlink(missing_ok=True)
        if parent:
            self.git("read-tree", parent, index=index)
        data = "".join(f"{line}\0" for line in lines).encode()
        self.git("update-index", "-z", "--index-info", data=data, index=index)
        tree = self.git("write-tree", index=index).decode().strip()
        above = ["-p", parent] if parent else []
        commit = self.git("commit-tree", tree, *above, "-m", summary).decode().strip()
        self.git("update-ref", "refs/heads/main", commit, parent or "0" * 40)
        return commit

    def commit(self, revision: str) -> str:
        """The name of the commit that a revision is."""
        try:
            return self.git("rev-parse", "-q", "--verify", f"{revision}^{{commit}}").decode().strip()
        except subprocess.CalledProcessError:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound") from None

    def entries(self, commit: str, path: str = "") -> list[Entry]:
        """The files at a path and below it."""
        where = ["--", path] if path else []
        listed = self.git("--literal-pathspecs", "ls-tree", "-r", "-l", "-z", commit, *where).decode()
        return [self._entry(*re.split(r"[ \t]+", line, maxsplit=4)) for line in listed.split("\0")[:-1]]

    def _entry(self, mode: str, kind: str, blob: str, size: str, path: str) -> Entry:
        if int(size) < 200 and (text := self.git("cat-file", "blob", blob)).startswith(POINTER):
            fields = dict(line.split(" ", 1) for line in text.decode().splitlines())
            return Entry(path, blob, int(fields["size"]), fields["oid"].removeprefix("sha256:"), int(size))
        return Entry(path, blob, int(size), None, 0)

    def file(self, revision: str, path: str) -> tuple[str, Entry]:
        """The commit, and a file in it."""
        commit = self.commit(revision)
        for entry in self.entries(commit, path):
            if entry.path == path:
                return commit, entry
        raise Refused(404, "Entry not found", "EntryNotFound")

    def stored(self, sha256: str) -> Path:
        """Where the storage has a large file."""
        path = self._large / sha256
        if not path.exists():
            for shard in self.cas.glob("**/xorbs/shards/*.mdb"):
                if found := _xet_name(shard.read_bytes(), sha256):
                    command = [sys.executable, "-c", FETCH, f"local://{self.cas}", *found, str(path)]
                    subprocess.run(command, check=True)
        return path

    def committed(self, revision: str, lines: list[Any]) -> str:
        """Do the commit that a client has sent, in lines of JSON."""
        header, *operations = lines
        if self.before_commit:
            self.before_commit.pop(0)()
        if self.refuse:
            raise Refused(self.refuse.pop(0), "not now")
        with self._turn:
            last = self.commit(revision)
            if header["value"].get("parentCommit", last) != last:
                raise Refused(412, "A commit has happened since. Please refresh and try again.")
            return self.write([self._line(last, one) for one in operations], last, header["value"]["summary"])

    def _line(self, commit: str, operation: Any) -> str:
        value = operation["value"]
        path = value["path"]
        if operation["key"] == "deletedFile":
            self.file(commit, path)
            return f"0 {'0' * 40}\t{path}"
        if operation["key"] == "file":
            return f"100644 {self.blob(base64.b64decode(value['content'], validate=True))}\t{path}"
        assert operation["key"] == "lfsFile" and value["algo"] == "sha256", operation
        stored = self.stored(value["oid"])
        if not stored.exists() or stored.stat().st_size != value["size"]:
            raise Refused(400, f"{path}: LFS pointer pointed to a file that does not exist")
        pointer = POINTER + f"oid sha256:{value['oid']}\nsize {value['size']}\n".encode()
        return f"100644 {self.blob(pointer)}\t{path}"


class Handler(BaseHTTPRequestHandler, ABC):
    """Answers in the way that both origins have."""

    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *rest: Any) -> None:
        self.hub = hub
        super().__init__(*rest)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def body(self) -> bytes:
        """What the client sends, whole or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def content(self, data: bytes, **headers: str) -> None:
        """Bytes, or a range of them."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not (found and self.hub.ranges):
            self.answer(200, data, **headers)
            return
        first, last = int(found[1]), min(int(found[2]), len(data) - 1)
        if first >= len(data):
            self.answer(416, b"", **{"Content-Range": f"bytes */{len(data)}"})
            return
        where = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
        self.answer(206, data[first : last + 1], **headers, **where)

    def tell(self, value: Any, **headers: str) -> None:
        self.answer(200, json.dumps(value).encode(), **{"Content-Type": "application/json"}, **headers)

    def do_GET(self) -> None:
        self._do()

    def do_HEAD(self) -> None:
        self._do()

    def do_PUT(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def _do(self) -> None:
        data = self.body()
        try:
            self.asked(self.path, data)
        except Refused as error:
            content = json.dumps({"error": error.message}).encode()
            self.answer(error.status, content, **{"X-Error-Message": error.message}, **error.headers)

    @abstractmethod
    def asked(self, path: str, data: bytes) -> None:
        """Answer a request, or raise `Refused`."""


class Storage(Handler):
    """The place of large files: links to it are signed, and a token has no business there."""

    def asked(self, path: str, data: bytes) -> None:
        if "Authorization" in self.headers:
            self.hub.tokens_at_storage += 1
            raise Refused(400, "Only one auth mechanism allowed")
        sha256, _, query = path.lstrip("/").partition("?")
        if query != "signed":
            raise Refused(403, "AccessDenied")
        stored = self.hub.stored(sha256)
        if self.command == "PUT":
            self.hub.uploaded += len(data)
            if hashlib.sha256(data).hexdigest() != sha256:
                raise Refused(400, "BadDigest")
            stored.write_bytes(data)
            self.answer(200, b"")
        else:  # a name of its own for the content, as the storage of the hub has
            tag = hashlib.blake2b(sha256.encode()).hexdigest()[:64]
            self.content(stored.read_bytes(), ETag=f'"{tag}"')


class Pages(Handler):
    """What the hub itself answers."""

    def asked(self, path: str, data: bytes) -> None:
        split = urlsplit(path)
        query = {name: values[-1] for name, values in parse_qs(split.query).items()}
        if self.command == "POST" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Invalid username or password.")
        if self.command in ("GET", "HEAD") and self.hub.busy:
            status, headers = self.hub.busy.pop(0)
            raise Refused(status, "Too Many Requests", **headers)
        api = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/([\w-]+)/([^/]+)(?:/(.+))?", split.path)
        resolve = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", split.path)
        large = re.fullmatch(r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/(\w+)", split.path)
        found = api or resolve or large
        if found is None or found[1] != NAME:
            raise Refused(404, "Repository not found", "RepoNotFound")
        if resolve:
            self._resolve(unquote(resolve[2]), unquote(resolve[3]))
        elif large:
            getattr(self, f"_lfs_{large[2]}")(json.loads(data))
        else:
            assert api is not None
            pages = {"revision": self._revision, "tree": self._tree, "xet-write-token": self._token}
            if page := pages.get(api[2]):
                page(unquote(api[3]), unquote(api[4] or ""), query)
            else:
                {"preupload": self._preupload, "commit": self._commit}[api[2]](unquote(api[3]), data)

    def _revision(self, revision: str, path: str, query: dict[str, str]) -> None:
        self.tell({"id": NAME, "sha": self.hub.commit(revision)})

    def _token(self, revision: str, path: str, query: dict[str, str]) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Invalid username or password.")
        end = int(time.time()) + 3600
        self.tell({"accessToken": "xet", "exp": end, "casUrl": f"local://{self.hub.cas}"})

    def _tree(self, revision: str, path: str, query: dict[str, str]) -> None:
        assert query["recursive"] == "true"
        found = self.hub.entries(self.hub.commit(revision), path)
        if path and not any(one.path.startswith(f"{path}/") for one in found):
            raise Refused(404, f"{path} does not exist on {revision}", "EntryNotFound")
        start = int(query.get("cursor", 0))
        end = start + self.hub.page
        more = {}
        if end < len(found):
            where = f"{self.hub.endpoint}{urlsplit(self.path).path}"
            more = {"Link": f'<{where}?recursive=true&expand=false&cursor={end}>; rel="next"'}
        self.tell([_told(one) for one in found[start:end]], **more)

    def _resolve(self, revision: str, path: str) -> None:
        commit, entry = self.hub.file(revision, path)
        headers = {"X-Repo-Commit": commit, "X-Linked-Size": str(entry.size)}
        if entry.sha256 is None:
            data = self.hub.git("cat-file", "blob", entry.blob)
            self.content(data, **headers, ETag=f'"{entry.blob}"')
        else:
            where = f"{self.hub.storage}/{entry.sha256}?signed"
            self.answer(302, b"", **headers, **{"X-Linked-Etag": f'"{entry.sha256}"', "Location": where})

    def _preupload(self, revision: str, data: bytes) -> None:
        files = []
        for one in json.loads(data)["files"]:
            sample = base64.b64decode(one["sample"])
            large = one["path"].endswith((".mp4", ".gz")) or one["size"] > LARGE or not _is_text(sample)
            try:
                _, there = self.hub.file(revision, one["path"])
                known = {"oid": there.sha256 or there.blob}
            except Refused as error:
                if error.headers.get("X-Error-Code") != "EntryNotFound":
                    raise
                known = {}
            mode = "lfs" if large else "regular"
            files.append({"path": one["path"], "uploadMode": mode, "shouldIgnore": False, **known})
        self.tell({"files": files})

    def _lfs_batch(self, asked: Any) -> None:
        assert asked["operation"] == "upload" and asked["hash_algo"] == "sha256"
        objects = []
        for one in asked["objects"]:
            told = {"oid": one["oid"], "size": one["size"]}
            if not self.hub.stored(one["oid"]).exists():
                verify = f"{self.hub.endpoint}/datasets/{NAME}.git/info/lfs/objects/verify"
                upload = {"href": f"{self.hub.storage}/{one['oid']}?signed"}
                told["actions"] = {"upload": upload, "verify": {"href": verify}}
            objects.append(told)
        self.tell({"transfer": "basic", "objects": objects})

    def _lfs_verify(self, asked: Any) -> None:
        if self.hub.stored(asked["oid"]).stat().st_size != asked["size"]:
            raise Refused(422, "size does not match")
        self.tell({})

    def _commit(self, revision: str, data: bytes) -> None:
        commit = self.hub.committed(revision, [json.loads(line) for line in data.splitlines()])
        if self.hub.lose:
            if status := self.hub.lose.pop(0):
                raise Refused(status, "Internal Error")
            self.close_connection = True
            return
        where = f"{self.hub.endpoint}/datasets/{NAME}/commit/{commit}"
        self.tell({"success": True, "commitOid": commit, "commitUrl": where})


def _told(entry: Entry) -> dict[str, Any]:
    told = {"type": "file", "path": entry.path, "oid": entry.blob, "size": entry.size}
    if entry.sha256 is None:
        return told
    return told | {"lfs": {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer}}


def _xet_name(shard: bytes, sha256: str) -> tuple[str, str] | None:
    """Name and size that xet has of a file, from what `hf_xet` has written (its MDB shard format)."""
    at = 48
    while shard[at : at + 32] != b"\xff" * 32:
        name = shard[at : at + 32]
        flags, count = struct.unpack_from("<II", shard, at + 32)
        sizes = [struct.unpack_from("<I", shard, at + 48 * (1 + number) + 36)[0] for number in range(count)]
        at += 48 * (1 + count * (1 + (flags >> 31 & 1)))
        if flags >> 30 & 1:
            if _xet_hex(shard[at : at + 32]) == sha256:
                return _xet_hex(name), str(sum(sizes))
            at += 48
    return None


def _xet_hex(name: bytes) -> str:
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", name))


def _is_text(sample: bytes) -> bool:
    return b"\0" not in sample and sample.decode(errors="ignore").encode() == sample


@contextmanager
def serving(place: Path) -> Iterator[Hub]:
    """The stand-in, on two ports of this machine: two origins."""
    hub = Hub(place)
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), partial(kind, hub)) for kind in (Pages, Storage)]
    hub.endpoint, hub.storage = (f"http://127.0.0.1:{one.server_address[1]}" for one in servers)
    threads = [threading.Thread(target=one.serve_forever, args=(0.05,), daemon=True) for one in servers]
    for one in threads:
        one.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def variables(hub: Hub, home: Path) -> dict[str, str]:
    """By which the client finds it, and no account of the user's; through LFS, as xet has no server here."""
    return {
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
