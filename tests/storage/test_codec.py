"""Integers from file systems and targets: all can be stored, those of more than 64 bits as text."""

import pytest
from bson import decode, encode

from gridhaul.storage.codec import Codec
from gridhaul.transfer.model import (
    Delivery,
    Evidence,
    File,
    Receipt,
    RemoteObject,
)
from gridhaul.transfer.origins import SourceIdentity
from tests.file_times import YEAR_2400

WITHIN = [0, -1, 2**63 - 1, -(2**63)]
BEYOND = [2**63, -(2**63) - 1, YEAR_2400, 2**93]


def _identity(integer: int) -> SourceIdentity:
    return SourceIdentity(size=integer, mtime_ns=integer, inode="1", device="2", ctime_ns=integer)


def _receipt(mtime_ns: int) -> Receipt:
    return Receipt(
        length=5,
        sha256="ab" * 32,
        manifest_root="cd" * 32,
        target="archive",
        object_name="run.h5",
        location="/srv/run.h5",
        evidence=Evidence.READ_BACK,
        atomic_commit=True,
        attempts=1,
        mtime_ns=mtime_ns,
        mode=0o640,
    )


@pytest.mark.parametrize(
    ("integer", "stored"), [*((number, number) for number in WITHIN), *((number, str(number)) for number in BEYOND)]
)
def test_integer_of_a_file_system_is_stored_as_text_only_beyond_64_bits(integer: int, stored: int | str) -> None:
    document = decode(encode(Codec(File).values({"identity": _identity(integer)})))["identity"]
    assert [document[name] for name in ("size", "mtime_ns", "ctime_ns")] == [stored] * 3


@pytest.mark.parametrize("length", [5, 10**19 - 1])
def test_length_of_any_size_from_a_target_is_stored(length: int) -> None:
    found = RemoteObject(length=length, sha256="", evidence=Evidence.SIZE)
    document = decode(encode(Codec(Delivery).values({"replaced": found})))["replaced"]
    assert int(document["length"]) == length


@pytest.mark.parametrize("mtime_ns", [*WITHIN, *BEYOND])
def test_time_of_any_size_in_a_receipt_is_stored(mtime_ns: int) -> None:
    document = decode(encode(Codec(Delivery).values({"receipt": _receipt(mtime_ns)})))["receipt"]
    assert (int(document["mtime_ns"]), document["mode"]) == (mtime_ns, 0o640)
