"""Lies of targets' servers: what a row of a table says, and plans for the liars of `lying_places`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from gridhaul.transfer.model import Evidence
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.lying_places import LyingPlace
from tests.servers.disturbances import Answer, Change, Cut, Disturbance, Flip, LoseAnswer, Side
from tests.servers.lying_sftp import Lie as SftpLie

NAME, THEIRS = "run.h5", "theirs.bin"
DATA = some_bytes(MIB + 7)
THEIR_DATA = some_bytes(len(DATA) + 1)[1:]  # as long as the object
DELIVERED = "delivered"
ALWAYS = 1000

BROKEN = Cut(side=Side.REQUEST, after_bytes=0)  # of a server that is down behind its proxy
CUT = Cut(side=Side.ANSWER, after_bytes=MIB // 2)
FLIP = Flip(side=Side.REQUEST, at_byte=MIB // 2)
LOST = LoseAnswer()


class Told(Protocol):
    hits: int  # how often the lie was told


Plan = Callable[[LyingPlace], Told]


@dataclass(frozen=True, kw_only=True)
class Hindrance:
    """Something that keeps a delivery from going on as usual, and how the attempt ends that meets it."""

    ends: str  # the code of the attempt's error, or DELIVERED
    says: str = ""  # a part of the error's detail
    data: bytes = DATA
    attempts: int = 1  # the last of them meets the hindrance
    sends: int | None = None  # bytes of the object in the last attempt; None: not compared
    evidence: Evidence | None = None  # of the receipt; None: what the kind has
    replaces: bool = False  # somebody else's object of the same length has the name, and is to be overwritten
    leaves_upload: bool = False  # nobody knows the id of an upload that has begun; `gc` ends it


@dataclass(frozen=True, kw_only=True)
class Lie(Hindrance):
    kinds: tuple[str, ...]  # of `lying_places`
    tell: Plan
    lies_to_probes: bool = False


Lies = Mapping[str, Lie]


def named(servers: str, *tables: Lies) -> Lies:
    """Return the rows of all tables, whose names tell the servers that lie."""
    return {f"{servers}, {name}": lie for table in tables for name, lie in table.items()}


def web(lie: Disturbance, method: str | None, at: str = "", *, skip: int = 0, times: int = 1) -> Plan:
    """Return a plan for the proxy: requests with the method (None: any) whose targets hold `at`."""
    return lambda place: place.proxy.plan(lie, method=method, part_of_target=at, skip=skip, times=times)


def ssh(request: str, lie: SftpLie, at: str = "", *, skip: int = 0, times: int = 1) -> Plan:
    """Return a plan for the SFTP server: requests about paths that end with `at`."""
    return lambda place: place.sftp.plan(request, lie, path_end=at, skip=skip, times=times)


def after(*plans: Plan, lie: Plan) -> Plan:
    """Return the plan of a lie, with plans for what must happen before it or beside it."""

    def tell(place: LyingPlace) -> Told:
        for plan in plans:
            plan(place)
        return lie(place)

    return tell


def instead(answer: Answer) -> Change:
    """Return the lie that answers this, although the request was carried out."""
    return Change(change=lambda _: answer)


def fields(**changed: str) -> Change:
    """Return the lie about header fields of an answer; `_` stands for `-`."""
    told = {name.replace("_", "-"): text for name, text in changed.items()}
    return Change(change=lambda answer: replace(answer, headers={**answer.headers, **told}))


def length(by_bytes: int) -> Change:
    """Return the lie about the length of an object, in an answer to HEAD or GET."""

    def change(answer: Answer) -> Answer:
        told = str(int(answer.headers["content-length"]) + by_bytes)
        return replace(answer, headers={**answer.headers, "content-length": told})

    return Change(change=change)


def property_length(by_bytes: int) -> Change:
    """Return the lie about the length of an object, in an answer to PROPFIND."""

    def told(found: re.Match[bytes]) -> bytes:
        return b"getcontentlength>%d<" % (int(found[1]) + by_bytes)

    def change(answer: Answer) -> Answer:
        body = re.sub(rb"getcontentlength>([0-9]+)<", told, answer.body)
        return Answer(status=answer.status, headers={"content-type": "text/xml"}, body=body)

    return Change(change=change)


def multistatus(status: str) -> Answer:
    """Return a multi-status response in which one request has failed (RFC 4918, 13)."""
    response = f"<D:response><D:href>/x</D:href><D:status>HTTP/1.1 {status}</D:status></D:response>"
    return Answer(status=207, body=f'<D:multistatus xmlns:D="DAV:">{response}</D:multistatus>'.encode())
