"""A bundle's body: bytes that do not match the table, or a table that does not match the token, are refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from chunk_service.bundle_body import read_bundle
from gridhaul.chunk_service_client.bundle_table import write_blocks, write_table
from gridhaul.transfer.bundle import TABLE_MAX_BYTES, WholeContent
from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.errors import DigestMismatch, Forbidden, InvalidValue, LengthMismatch
from gridhaul.transfer.grants import BundleGrant
from tests.chunk_service.test_segment_body import KIB, STALL_SECONDS, _ended, _parts, _request
from tests.contracts.bytes_to_store import MIB, some_bytes, whole_content

LENGTHS = (65536, 0, 1, MIB + 5, 2 * MIB, 7)


BUNDLE = [whole_content(some_bytes(length), fence=n) for n, length in enumerate(LENGTHS)]
TABLE = write_table(BUNDLE)
BYTES = b"".join(some_bytes(length) for length in LENGTHS)
BODY = b"".join(write_blocks(TABLE, BUNDLE))


async def read(body: bytes, *, table: bytes = TABLE, sizes: Sequence[int] = (64 * KIB,)) -> Sequence[WholeContent]:
    granted = BundleGrant(table_sha256=content_sha256(table))
    return await read_bundle(_ended(_parts(body, sizes)), granted, length=len(body), stall_seconds=STALL_SECONDS)


def table_of(*entries: dict[str, Any]) -> bytes:
    return json.dumps(list(entries)).encode()


def entry(**changes: Any) -> dict[str, Any]:
    one: dict[str, Any] = json.loads(write_table([whole_content(b"")]))[0]
    return {name: value for name, value in (one | changes).items() if value is not None}


@pytest.mark.parametrize("sizes", [[64 * KIB], [len(TABLE)], [len(TABLE) + 1], [1000, MIB], [16 * MIB]], ids=str)
async def test_contents_are_the_same_whatever_the_parts(sizes: list[int]) -> None:
    assert list(await read(BODY, sizes=sizes)) == BUNDLE


async def test_token_for_another_table_is_refused() -> None:
    other = write_table([replace(BUNDLE[0], fence=99), *BUNDLE[1:]])
    with pytest.raises(Forbidden):
        await read(BODY, table=other)


@pytest.mark.parametrize("at", [0, 65536, len(BYTES) - 1])
async def test_bit_that_flipped_on_the_way_is_noticed(at: int) -> None:
    damaged = bytearray(BODY)
    damaged[len(TABLE) + 1 + at] ^= 1
    with pytest.raises(DigestMismatch):
        await read(bytes(damaged))


async def test_contents_that_changed_places_are_noticed() -> None:
    swapped = [BUNDLE[5], BUNDLE[2]]
    with pytest.raises(DigestMismatch):
        await read(
            write_table(swapped) + b"\n" + b"".join([*BUNDLE[2].chunks, *BUNDLE[5].chunks]), table=write_table(swapped)
        )


@pytest.mark.parametrize("body", [BODY + b"x", BODY[:-1], TABLE + b"\n"])
async def test_more_or_fewer_bytes_than_the_table_says_are_refused(body: bytes) -> None:
    with pytest.raises(LengthMismatch):
        await read(body)


@pytest.mark.parametrize("body", [b"", b"x", b"\n", TABLE, b"x" * (TABLE_MAX_BYTES + 1) + b"\n"], ids=len)
async def test_body_that_does_not_begin_with_a_table_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidValue):
        await read(body, table=body.partition(b"\n")[0])


@pytest.mark.parametrize(
    "table",
    [
        b"{}",
        b"[]",
        b"[1]",
        b"[" * 100_000,
        table_of(*[entry()] * 2),
        table_of(*(entry(content_id=f"{n:024x}") for n in range(33))),
        table_of(entry(content_id="x" * 24)),
        table_of(entry(fence=-1)),
        table_of(entry(fence=None)),
        table_of(entry(length=-1)),
        table_of(entry(length=17 * MIB)),
        table_of(entry(length="1e400")),
        table_of(entry(more=1)),
        table_of(entry(**{"sha-256": "0" * 63})),
        table_of(entry(manifest_root=7)),
        table_of(entry(filename="\ud800")),
    ],
)
async def test_table_that_is_not_as_documented_is_refused(table: bytes) -> None:
    with pytest.raises(InvalidValue):
        await read(table + b"\n", table=table)


async def test_client_that_goes_in_the_middle_ends_the_request() -> None:
    granted = BundleGrant(table_sha256=content_sha256(TABLE))
    with pytest.raises(ClientDisconnect):
        await read_bundle(_request([BODY[:-1]]), granted, length=len(BODY), stall_seconds=STALL_SECONDS)
