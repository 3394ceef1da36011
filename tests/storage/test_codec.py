"""Integers that file systems and targets tell: BSON takes them all, and integers of 64 bits stay integers."""

import pytest
from bson import decode, encode

from gridhaul.storage.codec import Codec
from gridhaul.transfer.model import Delivery, Evidence, File, RemoteObject, SourceIdentity

WITHIN = [0, -1, 2**63 - 1, -(2**63)]
BEYOND = [2**63, -(2**63) - 1, 13_569_465_600 * 10**9, 2**93]


def _identity(integer: int) -> SourceIdentity:
    return SourceIdentity(size=integer, mtime_ns=integer, inode="1", device="2", ctime_ns=integer)


@pytest.mark.parametrize(
    ("integer", "stored"), [*((number, number) for number in WITHIN), *((number, str(number)) for number in BEYOND)]
)
def test_integer_of_a_file_system_is_stored_as_text_only_beyond_64_bits(integer: int, stored: int | str) -> None:
    document = decode(encode(Codec(File).values({"identity": _identity(integer)})))["identity"]
    assert [document[name] for name in ("size", "mtime_ns", "ctime_ns")] == [stored] * 3


@pytest.mark.parametrize("length", [5, 10**19 - 1])
def test_length_that_a_target_tells_is_stored_whatever_it_is(length: int) -> None:
    found = RemoteObject(length=length, sha256="", evidence=Evidence.SIZE)
    document = decode(encode(Codec(Delivery).values({"replaced": found})))["replaced"]
    assert int(document["length"]) == length
