"""The ports over one storage, and records, helpers and waits for their suites."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.accounts.usage import MongoUsage
from gridhaul.storage.agenda import MongoAgenda, MongoWaitingOwners
from gridhaul.storage.batches.batches import MongoBatches
from gridhaul.storage.batches.former_deliveries import MongoFormerDeliveries
from gridhaul.storage.batches.lanes import MongoLanes
from gridhaul.storage.batches.lists import MongoLists
from gridhaul.storage.batches.member_deletion import MongoMemberDeletion
from gridhaul.storage.batches.members import MongoMembers
from gridhaul.storage.batches.planned_names import MongoPlannedNames
from gridhaul.storage.batches.skipped import MongoSkippedPaths
from gridhaul.storage.checking.checks import MongoChecks
from gridhaul.storage.connect import Database
from gridhaul.storage.content.chunk_counting import MongoChunkCounting
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.storage.counting import MongoAccountCounting
from gridhaul.storage.deliveries import MongoDeliveries
from gridhaul.storage.events import MongoChanges
from gridhaul.storage.files import MongoFiles
from gridhaul.storage.heartbeats import MongoHeartbeatLookup, MongoHeartbeats
from gridhaul.storage.seen_targets import MongoSeenTargets
from gridhaul.storage.store_size import MongoStoreMeasuring
from gridhaul.storage.target_activity import MongoActivityCounting
from gridhaul.storage.uploads import MongoUploads
from gridhaul.transfer.batches import BatchTarget, Choice, NewBatch
from gridhaul.transfer.model import (
    Destination,
    File,
    IfExists,
    NewDelivery,
    NewFile,
    Queue,
    RecordId,
)
from gridhaul.transfer.origins import IfChanged, ServerPath, SourceIdentity
from gridhaul.transfer.ports.accounts import Accounts, AccountUsage
from gridhaul.transfer.ports.batches import (
    BatchRegistry,
    FormerDeliveries,
    Lanes,
    MemberDeletion,
    Members,
    PlannedNames,
    RunnableBatches,
    SkippedPaths,
)
from gridhaul.transfer.ports.checking import CheckRegistry, RunnableChecks
from gridhaul.transfer.ports.contents import Contents, Intake
from gridhaul.transfer.ports.counting import AccountCounting, ChunkCounting
from gridhaul.transfer.ports.deliveries import DeliverableRecords, DeliveryRegistry
from gridhaul.transfer.ports.events import RecentChanges, Replays
from gridhaul.transfer.ports.files import FileRegistry, StorableFiles
from gridhaul.transfer.ports.heartbeats import HeartbeatLookup, Heartbeats
from gridhaul.transfer.ports.hints import Agenda, WaitingOwners
from gridhaul.transfer.ports.lists import ListIntake, UsedLists
from gridhaul.transfer.ports.store_size import StoreMeasuring
from gridhaul.transfer.ports.target_activity import ActivityCounting
from gridhaul.transfer.ports.targets import ProbedTargets, TargetRegistry
from gridhaul.transfer.ports.uploads import ExpiringUploads, Uploads
from gridhaul.transfer.states import STORABLE, FileState
from tests.contracts.memory_accounts import MemoryAccounts, MemoryUsage
from tests.contracts.memory_batches import (
    MemoryBatches,
    MemoryLanes,
    MemoryMembers,
    MemorySkippedPaths,
    MemoryWaitingOwners,
)
from tests.contracts.memory_changes import MemoryChanges
from tests.contracts.memory_checks import MemoryChecks
from tests.contracts.memory_contents import MemoryContents, MemoryIntake
from tests.contracts.memory_counting import MemoryAccountCounting, MemoryChunkCounting
from tests.contracts.memory_earlier_work import MemoryFormerDeliveries, MemoryPlannedNames
from tests.contracts.memory_heartbeats import MemoryHeartbeatLookup, MemoryHeartbeats
from tests.contracts.memory_member_deletion import MemoryMemberDeletion
from tests.contracts.memory_path_lists import MemoryPathLists
from tests.contracts.memory_registry import MemoryAgenda, MemoryDeliveries, MemoryFiles
from tests.contracts.memory_seen_targets import MemorySeenTargets
from tests.contracts.memory_store_size import MemoryStoreMeasuring
from tests.contracts.memory_target_activity import MemoryActivityCounting
from tests.contracts.memory_uploads import MemoryUploads

LONG_LEASE_SECONDS = 60.0
SHORT_LEASE_SECONDS = 0.15
SWEEP_AFTER_SECONDS = 0.15
DAY_SECONDS = 86400.0
DEADLINE_SECONDS = 10.0
SHA256 = "ab" * 32
A_FILE = RecordId("a" * 24)
A_BATCH = RecordId("c" * 24)

T = TypeVar("T")


class Files(FileRegistry, StorableFiles, Protocol):
    """Files as the api and as workers use them."""


class Deliveries(DeliveryRegistry, DeliverableRecords, Protocol):
    """Deliveries as the api and as workers use them."""


class Checks(CheckRegistry, RunnableChecks, Protocol):
    """Checks as the api and as workers use them."""


class Batches(BatchRegistry, RunnableBatches, Protocol):
    """Batches as the api and as workers use them."""


class Lists(ListIntake, UsedLists, Protocol):
    """Lists as the api and as workers use them."""


class Changes(RecentChanges, Replays, Protocol):
    """Changes as the api reads them for all its listeners and for one of them."""


class AllUploads(Uploads, ExpiringUploads, Protocol):
    """Uploads as the api and as workers use them."""


class SeenTargets(ProbedTargets, TargetRegistry, Protocol):
    """The records of targets as the api and as workers use them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    files: Files
    uploads_living: Callable[[float], AllUploads]  # takes the seconds after which an upload expires
    uploads_left_after: Callable[[float], AllUploads]  # takes the seconds after which workers finish a whole upload
    deliveries: Deliveries
    checks: Checks
    agenda: Agenda
    changes: Changes
    batches: Batches
    lanes: Lanes
    members: Members
    deletion: MemberDeletion
    former: FormerDeliveries
    planned_names: PlannedNames
    skipped: SkippedPaths
    lists: Lists
    waiting_owners: WaitingOwners
    contents: Contents
    accounts: Accounts
    usage_with: Callable[[int | None], AccountUsage]  # takes the quota of accounts that have none of their own
    account_counting: AccountCounting
    chunk_counting: ChunkCounting
    activity_counting: ActivityCounting
    store_measuring: StoreMeasuring
    heartbeat_lookup: HeartbeatLookup
    seen_targets: SeenTargets
    new_heartbeats: Callable[..., Heartbeats]  # returns the heartbeats of one more process of the `worker`
    intake_with: Callable[[int], Intake]  # takes the greatest number of chunks of an inline content


def memory_ports(*, lease_seconds: float, sweep_after_seconds: float = SWEEP_AFTER_SECONDS) -> Ports:
    files = MemoryFiles(lease_seconds=lease_seconds)
    checks = MemoryChecks(lease_seconds=lease_seconds)
    deliveries = MemoryDeliveries(lease_seconds=lease_seconds, sweep_seconds=sweep_after_seconds)
    contents = MemoryContents(sweep_after_seconds=sweep_after_seconds)
    batches, lanes = MemoryBatches(lease_seconds=lease_seconds), MemoryLanes()
    accounts, heartbeat_lookup = MemoryAccounts(), MemoryHeartbeatLookup()
    seen = MemorySeenTargets(lease_seconds=lease_seconds)
    return Ports(
        files=files,
        uploads_living=lambda seconds: MemoryUploads(files, lifetime_seconds=seconds, finish_seconds=seconds),
        uploads_left_after=lambda seconds: MemoryUploads(files, lifetime_seconds=DAY_SECONDS, finish_seconds=seconds),
        deliveries=deliveries,
        checks=checks,
        changes=MemoryChanges(files.rows, deliveries.rows, batches.rows),
        agenda=MemoryAgenda(
            files.rows, deliveries.rows, contents.rows, checks.rows, batches.rows, lanes.rows, seen.rows
        ),
        batches=batches,
        lanes=lanes,
        members=MemoryMembers(files, deliveries),
        deletion=MemoryMemberDeletion(files, deliveries),
        former=MemoryFormerDeliveries(files, deliveries),
        planned_names=MemoryPlannedNames(),
        skipped=MemorySkippedPaths(),
        lists=MemoryPathLists(batches.rows),
        waiting_owners=MemoryWaitingOwners(files.rows, deliveries.rows, lanes.rows),
        contents=contents,
        accounts=accounts,
        usage_with=lambda quota: MemoryUsage(accounts, quota_bytes=quota),
        account_counting=MemoryAccountCounting(files.rows, deliveries.rows),
        chunk_counting=MemoryChunkCounting(contents),
        activity_counting=MemoryActivityCounting(deliveries.rows),
        store_measuring=MemoryStoreMeasuring(checks.rows),
        heartbeat_lookup=heartbeat_lookup,
        seen_targets=seen,
        new_heartbeats=lambda worker="worker": MemoryHeartbeats(heartbeat_lookup, worker=worker),
        intake_with=lambda limit: MemoryIntake(contents, inline_limit_chunks=limit),
    )


def mongo_ports(database: Database, *, lease_seconds: float, sweep_after_seconds: float = SWEEP_AFTER_SECONDS) -> Ports:
    files = MongoFiles(database, lease_seconds=lease_seconds)
    deliveries = MongoDeliveries(database, lease_seconds=lease_seconds, sweep_seconds=sweep_after_seconds)
    return Ports(
        files=files,
        uploads_living=lambda seconds: MongoUploads(
            database, lease_seconds=lease_seconds, lifetime_seconds=seconds, finish_seconds=seconds
        ),
        uploads_left_after=lambda seconds: MongoUploads(
            database, lease_seconds=lease_seconds, lifetime_seconds=DAY_SECONDS, finish_seconds=seconds
        ),
        deliveries=deliveries,
        checks=MongoChecks(database, lease_seconds=lease_seconds),
        agenda=MongoAgenda(database),
        changes=MongoChanges(database),
        batches=MongoBatches(database, lease_seconds=lease_seconds),
        lanes=MongoLanes(database),
        members=MongoMembers(database, files, deliveries),
        deletion=MongoMemberDeletion(database, files),
        former=MongoFormerDeliveries(database),
        planned_names=MongoPlannedNames(database),
        skipped=MongoSkippedPaths(database),
        lists=MongoLists(database),
        waiting_owners=MongoWaitingOwners(database),
        contents=MongoContents(database, sweep_seconds=sweep_after_seconds),
        accounts=MongoAccounts(database),
        usage_with=lambda quota: MongoUsage(database, quota_bytes=quota),
        account_counting=MongoAccountCounting(database),
        chunk_counting=MongoChunkCounting(database),
        activity_counting=MongoActivityCounting(database),
        store_measuring=MongoStoreMeasuring(database),
        heartbeat_lookup=MongoHeartbeatLookup(database),
        seen_targets=MongoSeenTargets(database, lease_seconds=lease_seconds),
        new_heartbeats=lambda worker="worker": MongoHeartbeats(database, holder="host:1", worker=worker),
        intake_with=lambda limit: MongoIntake(database, inline_limit_chunks=limit),
    )


def new_file(
    *, name: str = "run.h5", length: int = 5, key: str | None = None, deliver_to: Sequence[Destination] = ()
) -> NewFile:
    identity = SourceIdentity(size=length, mtime_ns=2**62, inode=str(2**64 - 1), device="7", ctime_ns=1)
    return NewFile(
        owner="operator",
        name=name,
        content_type="application/x-hdf5",
        length=length,
        origin=ServerPath(path=f"/srv/{name}", identity=identity),
        queue=Queue.LARGE if length > 100 else Queue.SMALL,
        deliver_to=tuple(deliver_to),
        idempotency_key=key,
        request_fingerprint="f1" if key else None,
    )


def from_path(new: NewFile, **changes: Any) -> NewFile:
    """Return the file with other fields of its source."""
    return replace(new, origin=replace(new.source, **changes))


def destination(
    target: str = "archive", *, object_name: str = "run.h5", if_exists: IfExists = IfExists.FAIL
) -> Destination:
    return Destination(target=target, object_name=object_name, if_exists=if_exists)


def new_delivery(to: Destination, *, file_id: RecordId = A_FILE, queue: Queue = Queue.SMALL) -> NewDelivery:
    return NewDelivery(file_id=file_id, owner="operator", destination=to, length=5, sha256=SHA256, queue=queue)


def new_batch(*, owner: str = "operator", key: str | None = None) -> NewBatch:
    return NewBatch(
        owner=owner,
        sources=("/srv/run",),
        root_of=("/srv",),
        base=None,
        choice=Choice(exclude=("*.tmp",)),
        deliver_to=(BatchTarget(target="archive", prefix="2026", if_exists=IfExists.FAIL),),
        if_changed=IfChanged.FAIL,
        idempotency_key=key,
        request_fingerprint="f1" if key else None,
    )


def new_member(
    name: str, *, length: int = 5, batch_id: RecordId = A_BATCH, deliver_to: Sequence[Destination] = ()
) -> NewFile:
    return replace(new_file(name=name, length=length, deliver_to=deliver_to), batch_id=batch_id)


def new_members_delivery(name: str, *, batch_id: RecordId = A_BATCH, queue: Queue = Queue.SMALL) -> NewDelivery:
    return replace(new_delivery(destination(object_name=name), queue=queue), batch_id=batch_id)


async def registered(ports: Ports, new: NewFile | None = None) -> File:
    """Register a file, which then waits for its first claim."""
    file, _ = await ports.files.register(new or new_file())
    return file


async def claimed(ports: Ports, file: File) -> File:
    """Claim the file."""
    record = await ports.files.claim(file.id, holder="worker", from_states=STORABLE, to_state=FileState.STORING)
    assert record is not None
    return record


async def stored(ports: Ports, new: NewFile | None = None) -> File:
    """Register, claim and finish a file, which then is STORED."""
    file = await claimed(ports, await registered(ports, new))
    await ports.files.finish(file.lease, FileState.STORED, sha256=SHA256)
    return file


async def eventually(question: Callable[[], Awaitable[T]]) -> T:
    """Ask again and again, and return the first answer that is true. Fails after DEADLINE_SECONDS."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (answer := await question()):
        assert time.monotonic() < deadline, f"no answer was true for {DEADLINE_SECONDS} s"
        await asyncio.sleep(0.01)
    return answer
