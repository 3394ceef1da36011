"""The steps of a delivery as tests take them: a stage, its writing, its commit, and a look at the object."""

import itertools
import posixpath
from typing import Any, Protocol

from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.inspection import inspect, not_shown
from gridhaul.transfer.model import Evidence, RemoteObject, Stage
from gridhaul.transfer.ports.targets import (
    DirectPut,
    KeepsUploads,
    Leaving,
    Probed,
    RepeatableBlocks,
    Staging,
    Target,
    UnfinishedUpload,
)
from tests.targets.blocks import SomeBlocks, untold

DELIVERY = "0123456789abcdef01234567"
GENERATION = 7
PART = f".gridhaul-{DELIVERY}-{GENERATION}.part"  # the name of a stage at the top of a target
SCRATCH = ".gridhaul-89abcdef0123456789abcdef-1~"
_generations = itertools.count(GENERATION + 1)


class StagingTarget(Target, Staging, Probed, Protocol):
    """A target with stages, all of whose kinds are probed."""


def stage_of(final_name: str, length: int = 0, *, name: str | None = None, generation: int = GENERATION) -> Stage:
    """Return a stage beside its final name, unless it is to have another `name`."""
    own = posixpath.join(posixpath.dirname(final_name), f".gridhaul-{DELIVERY}-{generation}.part")
    return Stage(name=name or own, final_name=final_name, generation=generation, length=length)


def new_stage(final_name: str, length: int) -> Stage:
    """Return a stage of a generation that no test has used."""
    return stage_of(final_name, length, generation=next(_generations))


async def written(
    target: Staging,
    final_name: str,
    data: bytes,
    *,
    name: str | None = None,
    generation: int = GENERATION,
    **more: Any,
) -> Stage:
    """Return a whole stage of the data. `more` is as in `continued`."""
    stage = stage_of(final_name, len(data), name=name, generation=generation)
    return await continued(target, await target.begin(stage), data, **more)


async def continued(
    target: Staging, stage: Stage, data: bytes, *, blocks: RepeatableBlocks | None = None, **more: Any
) -> Stage:
    """Write what is missing of a stage that was begun, and return it whole.

    `blocks` take the place of the missing data, and `more` are further arguments of `Staging.write`.
    """
    rest = blocks or SomeBlocks(data[stage.offset :])
    return await target.write(stage, rest, **{"leaving": untold, "confirmed": unnoted, **more})


async def send(target: Target, name: str, blocks: RepeatableBlocks, *, length: int, leaving: Leaving) -> Stage | None:
    """Send the blocks to a new stage and return it, or straight to the name if the target has no stages."""
    if isinstance(target, Staging):
        begun = await target.begin(new_stage(name, length))
        return await continued(target, begun, b"", blocks=blocks, leaving=leaving)
    assert isinstance(target, DirectPut)
    await target.put(name, blocks, length=length, leaving=leaving)
    return None


async def deliver(target: Target, name: str, data: bytes) -> None:
    """Make an object of the data under a free name."""
    stage = await send(target, name, SomeBlocks(data), length=len(data), leaving=untold)
    if stage is not None:
        assert isinstance(target, Staging)
        await target.commit(stage)


async def look(target: Target, name: str, data: bytes) -> RemoteObject | None:
    """Return what the target holds under the name, where the data is expected."""
    return await inspect(target, name, length=len(data), sha256=content_sha256(data), checked=not_shown)


async def read(target: Target, name: str, data: bytes) -> RemoteObject | None:
    """Return what was read of the object, which is expected to have the data."""
    return await target.read_back(name, length=len(data), sha256=content_sha256(data), checked=not_shown)


def holding(data: bytes, evidence: Evidence = Evidence.READ_BACK) -> RemoteObject:
    """Return what `look` and `read` return of an object that has the data."""
    return RemoteObject(length=len(data), sha256=content_sha256(data), evidence=evidence)


async def unnoted(_: Stage) -> None:
    """Note nothing of what the target confirms."""


async def may_write() -> None:
    """Allow a probe to write."""


async def unfinished_at(target: KeepsUploads) -> list[UnfinishedUpload]:
    """Return the unfinished uploads that the target lists, of all pages."""
    page = await target.unfinished()
    found = [*page.uploads]
    while page.following:
        page = await target.unfinished(after=page.following)
        found += page.uploads
    return found
