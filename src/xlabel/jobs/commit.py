"""The commit of a push: a new head in the place of the one that was read, unless somebody else was faster.

Where a store knows conditional writes, the head is one object and its condition decides. Elsewhere each push
writes a head of its own, which nobody overwrites: of two with one number, both are taken back.
"""

import secrets

import msgspec

from xlabel.errors import ConflictError, InputError
from xlabel.jobs.remote import HeadAt
from xlabel.model.head import HEAD, HEADS, Head, head_name, head_serial
from xlabel.stores.transport import Transport, where

_json = msgspec.json.Encoder()


def is_beside(store: Transport, found: HeadAt | None) -> bool:
    """Whether heads stand beside each other at a place. InputError where this store must not write there."""
    if found is None:
        return not store.conditional
    if found.name == HEAD and not store.conditional:
        raise InputError(
            f"{where(store, HEAD)}: was pushed through a store that knows conditional writes, and this one "
            "does not: of two writers one would be lost; push by the URL that was used before"
        )
    return found.name != HEAD


def text(head: Head) -> bytes:
    """The object that is written."""
    return msgspec.json.format(_json.encode(head), indent=1) + b"\n"


def commit(store: Transport, head: Head, found: HeadAt | None) -> int:
    """Write a head in the place of `found`; from then on it is current. Gives its size.

    ConflictError where somebody else has written one in the meantime.
    """
    data = text(head)
    if not is_beside(store, found):
        store.put(HEAD, data, if_match=found.tag if found else None, absent=found is None)
        return len(data)
    serial = 1 + (head_serial(found.name) if found else 0)
    name = head_name(serial, secrets.token_hex(8))
    store.put(name, data)
    if any(one != name and head_serial(one) >= serial for one in store.names(HEADS)):
        store.delete(name)
        raise ConflictError(f"{store.url}: somebody else has pushed at the same time; push again")
    return len(data)


def fence(store: Transport, found: HeadAt) -> HeadAt:
    """Write the head anew, so that a push that has read it cannot commit any more; gives it as it is now."""
    head = msgspec.structs.replace(found.head, fence=secrets.token_hex(8))
    return HeadAt(head, found.name, store.put(found.name, text(head), if_match=found.tag).tag)
