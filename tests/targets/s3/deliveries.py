"""Targets at S3 servers, and the steps of deliveries to them."""

import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gridhaul.outgoing.http_client import make_client
from gridhaul.targets.http_session import HttpSession
from gridhaul.targets.s3.bucket import Bucket
from gridhaul.targets.s3.signing import S3Auth, now
from gridhaul.targets.s3.target import S3Target
from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.inspection import not_shown
from gridhaul.transfer.model import Evidence, RemoteObject, Stage
from tests.servers.rclone_s3 import S3Server
from tests.targets.peers import MIB, SomeBlocks, may_write, untold

DELIVERY = "89abcdef0123456789abcdef"
PART = 16 * MIB
_numbers = itertools.count(1)


def scratch() -> str:
    """Return the beginning of a new probe's names."""
    return f".gridhaul-{DELIVERY}-{next(_numbers)}~"


@dataclass(frozen=True, kw_only=True)
class Known:
    """A running server, and the facts of the first probe of it."""

    kind: str
    server: S3Server
    facts: dict[str, Any] = field(default_factory=dict)

    @asynccontextmanager
    async def target(self, **other: Any) -> AsyncGenerator[S3Target]:
        """Yield a target that relies on the facts, in a prefix of its own unless `other` names one."""
        async with target_at(self.server, **{"prefix": f"{next(_numbers)}/", **other}) as target:
            if not self.facts:
                async with target_at(self.server) as first:
                    self.facts.update(await first.probe(scratch(), may_write))
            assert target.rely_on(self.facts)
            yield target


@asynccontextmanager
async def target_at(
    server: S3Server,
    *,
    prefix: str = "",
    url: str | None = None,
    bucket: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    clock: Callable[[], datetime] = now,
) -> AsyncGenerator[S3Target]:
    """Yield a target of which nothing is known."""
    auth = S3Auth(
        access_key_id=access_key_id or server.access_key_id,
        secret_access_key=secret_access_key or server.secret_access_key,
        session_token=None,
        region="us-east-1",
        clock=clock,
    )
    address = f"{url or server.url}/{bucket or server.bucket}"
    session = HttpSession(make_client(), url=address, authorization=None, auth=auth)
    target = S3Target(
        name="s3",
        session=session,
        bucket=Bucket(session, prefix=prefix, create_headers={}),
        auth=auth,
        settings=(),
        allow_overwrite_race=False,
    )
    try:
        yield target
    finally:
        await target.close()


def new_stage(name: str, length: int, *, generation: int = 7) -> Stage:
    temporary = f".gridhaul-{DELIVERY}-{generation}.part"
    return Stage(name=temporary, final_name=name, generation=generation, length=length)


async def written(target: S3Target, name: str, data: bytes, *, generation: int = 7) -> Stage:
    """Return a whole stage with the data."""
    stage = await target.begin(new_stage(name, len(data), generation=generation))
    return await target.write(stage, SomeBlocks(data), leaving=untold, confirmed=ignored)


async def delivered(target: S3Target, name: str, data: bytes) -> None:
    await target.commit(await written(target, name, data))


async def ignored(_: Stage) -> None:
    """Keep nothing of a confirmed stage."""


async def read(target: S3Target, name: str, data: bytes) -> RemoteObject | None:
    sha256 = content_sha256(data)
    return await target.read_back(name, length=len(data), sha256=sha256, checked=not_shown)


def holding(data: bytes) -> RemoteObject:
    """Return what `read` returns if the object has the data."""
    return RemoteObject(length=len(data), sha256=content_sha256(data), evidence=Evidence.READ_BACK)
