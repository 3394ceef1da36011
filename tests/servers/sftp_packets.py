"""Packets of SFTP 3 (draft-ietf-secsh-filexfer-02), as a proxy needs them: their kinds, names, and bytes to write."""

import asyncio
import struct
from dataclasses import dataclass
from enum import IntEnum

POSIX_RENAME = b"posix-rename@openssh.com"
HARDLINK = b"hardlink@openssh.com"
WRITES = 0x02  # the flag of SSH_FXP_OPEN with which a file is opened to be written


class Kind(IntEnum):
    """The types of requests that a proxy tells apart, and of answers to all requests."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    WRITE = 6
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    EXTENDED = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Packet:
    kind: int
    number: int  # which the answer repeats; of SSH_FXP_INIT and SSH_FXP_VERSION the version
    payload: bytes

    def encoded(self) -> bytes:
        return struct.pack(">IBI", 5 + len(self.payload), self.kind, self.number) + self.payload

    def strings(self, count: int) -> list[bytes]:
        """Return the strings with which the payload begins."""
        found, at = list[bytes](), 0
        for _ in range(count):
            (length,) = struct.unpack_from(">I", self.payload, at)
            at += 4
            found.append(self.payload[at : at + length])
            at += length
        return found


async def read_packet(reader: asyncio.StreamReader) -> Packet:
    """Return the next packet. Raises asyncio.IncompleteReadError at the end."""
    length, kind, number = struct.unpack(">IBI", await reader.readexactly(9))
    return Packet(kind=kind, number=number, payload=await reader.readexactly(length - 5))


def status(number: int, code: int) -> Packet:
    """Return the answer SSH_FXP_STATUS with the code."""
    return Packet(
        kind=Kind.STATUS, number=number, payload=struct.pack(">I", code) + string(b"as planned") + string(b"")
    )


def code_of(answer: Packet) -> int:
    """Return the code of the answer, 0 if the answer has data."""
    return int(struct.unpack_from(">I", answer.payload)[0]) if answer.kind == Kind.STATUS else 0


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
