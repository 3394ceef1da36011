"""The whole system in one process and in virtual time: memory twins hold records and chunks, the real journeys run."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

from pydantic import SecretStr

from api.dispatcher import Dispatcher
from gridhaul.process.settings import WorkerSettings
from gridhaul.source.opened import Source
from gridhaul.source.roots import Roots
from gridhaul.targets.directory import DirectoryTarget
from gridhaul.targets.targets_file import ConfiguredTargets
from gridhaul.transfer.access import Account, NewAccount
from gridhaul.transfer.batches import Batch, BatchState, BatchTarget, Choice, NewBatch
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError
from gridhaul.transfer.known_targets import TargetDefinition, TargetRecord, TargetState
from gridhaul.transfer.model import (
    Delivery,
    Destination,
    File,
    Hint,
    IfExists,
    NewDelivery,
    NewFile,
    Queue,
    RecordId,
    TaskName,
)
from gridhaul.transfer.origins import IfChanged, ServerPath
from gridhaul.transfer.retry import Limits
from gridhaul.transfer.states import DeliveryState, FileState
from tasks import maintenance
from tasks.attempt import Attempts, Chores
from tasks.batches.attempts import BatchAttempts
from tasks.clean_delivery import clean_up
from tasks.delivering.known_targets import KnownTargets
from tasks.expire_upload import expire
from tasks.finalize_file import deliver_file
from tasks.probe_target import probe
from tasks.probes import Probes
from tasks.run_batch import advance
from tasks.runtime import UNLIMITED, Batches, Journey, Probing, Runtime
from tasks.store_bundle import store_files
from tasks.take_due import take_some
from tasks.upload_file import store_file
from tests.contracts.memory_accounts import MemoryAccounts, MemoryUsage
from tests.contracts.memory_batches import MemoryBatches, MemoryLanes, MemoryMembers, MemorySkippedPaths
from tests.contracts.memory_contents import MemoryContents, MemoryIntake
from tests.contracts.memory_earlier_work import MemoryFormerDeliveries, MemoryPlannedNames
from tests.contracts.memory_member_deletion import MemoryMemberDeletion
from tests.contracts.memory_path_lists import MemoryPathLists
from tests.contracts.memory_registry import MemoryAgenda, MemoryDeliveries, MemoryFiles, Row
from tests.contracts.memory_seen_targets import MemorySeenTargets
from tests.contracts.memory_uploads import MemoryUploads
from tests.contracts.ports import destination
from tests.faults.failing import Faults, Life
from tests.faults.failing_ports import (
    FailingContents,
    FailingDirectTarget,
    FailingMembers,
    FailingPort,
    FailingStagingTarget,
    failing_chunks,
)
from tests.noted_hints import NotedHints
from tests.targets.deliveries import may_write
from tests.tasks.worker_parts import alone
from tests.unused import UNUSED

LEASE_SECONDS = 30.0
RENEW_SECONDS = 10.0
DISPATCH_SECONDS = 5.0
SWEEP_AFTER_SECONDS = 120.0
UPLOAD_LIFETIME_SECONDS = 1200.0
FINISH_SECONDS = 300.0
MAX_ATTEMPTS = 5
AT_REST_WITHIN_SECONDS = 3600.0  # beside RETRY_HOURS
LARGE_FILE_BYTES = CHUNK_BYTES
OWNER, TARGET, NAME = "operator", "archive", "run.h5"
SECRET = SecretStr("s" * 32)

JOURNEYS: dict[TaskName, Journey] = {
    TaskName.UPLOAD_FILE: store_file,
    TaskName.FINALIZE_FILE: deliver_file,
    TaskName.DELETE_FILE: maintenance._delete_file,
    TaskName.SWEEP_CONTENT: maintenance._sweep_content,
    TaskName.CLEAN_DELIVERY: clean_up,
    TaskName.RUN_BATCH: advance,
    TaskName.TAKE_DUE: take_some,
    TaskName.EXPIRE_UPLOAD: expire,
    TaskName.PROBE_TARGET: probe,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One file, and where it is delivered."""

    data: bytes
    inline_limit_chunks: int = 15
    segment_chunks: int = 16
    if_exists: IfExists = IfExists.FAIL
    there_before: bytes | None = None  # the bytes of an object that is under the file's name at the target
    registered: bytes | None = None  # the bytes of the source when it is registered, before it changes to `data`
    atomic: bool = True
    retry_hours: float = 0


class Asked(TypedDict, total=False):
    """Further fields of a batch that is asked for."""

    update: bool
    dry_run: bool


class WatchedDirectory(DirectoryTarget):
    """A directory that counts its commits, and remembers all bytes that were ever seen under a final name."""

    def __init__(self, path: Path) -> None:
        super().__init__(name=TARGET, path=path)
        self.path = path
        self.commits = 0
        self.seen: set[tuple[str, bytes]] = set()
        self._looked_at: set[tuple[str, int, int, int]] = set()

    def look(self) -> None:
        """Look at each file under a final name that is new or has changed."""
        for folder, _, names in os.walk(self.path):
            for name in names:
                if not name.startswith(".gridhaul-"):
                    self._look_at(Path(folder, name))

    def _look_at(self, path: Path) -> None:
        status, name = path.stat(), str(path.relative_to(self.path))
        state = (name, status.st_ino, status.st_ctime_ns, status.st_size)
        if state not in self._looked_at:
            self._looked_at.add(state)
            self.seen.add((name, path.read_bytes()))

    def _commit(self, temporary_name: str, final_name: str) -> None:
        super()._commit(temporary_name, final_name)
        self.commits += 1

    def _replace(self, temporary_name: str, final_name: str) -> None:
        super()._replace(temporary_name, final_name)
        self.commits += 1


class TwinSystem:
    """One run of the system, in the event loop of `virtual_time`."""

    def __init__(self, case: Case, faults: Faults, place: Path) -> None:
        self.case, self.faults = case, faults
        self.files = MemoryFiles(lease_seconds=LEASE_SECONDS)
        self.uploads = MemoryUploads(
            self.files, lifetime_seconds=UPLOAD_LIFETIME_SECONDS, finish_seconds=FINISH_SECONDS
        )
        self.deliveries = MemoryDeliveries(lease_seconds=LEASE_SECONDS)
        self.contents = MemoryContents(sweep_after_seconds=SWEEP_AFTER_SECONDS)
        self.batches = MemoryBatches(lease_seconds=LEASE_SECONDS)
        self.lanes = MemoryLanes()
        self.members = MemoryMembers(self.files, self.deliveries)
        self.deletion = MemoryMemberDeletion(self.files, self.deliveries)
        self.former = MemoryFormerDeliveries(self.files, self.deliveries)
        self.planned_names = MemoryPlannedNames()
        self.skipped = MemorySkippedPaths()
        self.lists = MemoryPathLists(self.batches.rows)
        self.accounts = MemoryAccounts()
        self.usage = MemoryUsage(self.accounts, quota_bytes=None)
        self.seen_targets = MemorySeenTargets(lease_seconds=LEASE_SECONDS)
        self.intake = MemoryIntake(self.contents, inline_limit_chunks=case.inline_limit_chunks)
        self.outgoing, self.delivered = place / "outgoing", place / "delivered"
        self.outgoing.mkdir()
        self.delivered.mkdir()
        self.target = WatchedDirectory(self.delivered)
        faults.before_each = self._look
        self.undercounted = False
        self.settings = _settings(case, self.outgoing)
        self.life = Life(faults)
        self.codes: set[str] = set()  # the codes of all errors that a record has shown
        self._hints: list[Hint] = []
        self._configured: dict[RecordId, Row[TargetRecord]] = {}  # the targets that workers are asked to probe
        self._dispatcher = Dispatcher(
            lease=_AlwaysHeld(),
            agenda=MemoryAgenda(
                self.files.rows,
                self.deliveries.rows,
                self.contents.rows,
                {},
                self.batches.rows,
                self.lanes.rows,
                self._configured,
            ),
            broker=_EmptyBroker(),
            hints=NotedHints(self._hints),
            every_seconds=DISPATCH_SECONDS,
        )

    async def prepare(self) -> RecordId:
        """Register the file of the case as the api does, and return its id. The hint is lost."""
        path, at_first = self.outgoing / NAME, self.case.data if self.case.registered is None else self.case.registered
        path.write_bytes(at_first)
        if self.case.there_before is not None:
            (self.delivered / NAME).write_bytes(self.case.there_before)
        await self.accounts.create(NewAccount(username=OWNER, scopes=()))
        to = destination(TARGET, object_name=NAME, if_exists=self.case.if_exists)
        if_changed = IfChanged.FAIL if self.case.registered is None else IfChanged.RESTART
        file_id = await self._register(path, deliver_to=(to,), if_changed=if_changed)
        if at_first != self.case.data:
            path.write_bytes(self.case.data)
        return file_id

    async def prepare_beside(self, name: str, data: bytes) -> RecordId:
        """Register a file that is only stored, and return its id."""
        path = self.outgoing / name
        path.write_bytes(data)
        return await self._register(path, deliver_to=(), if_changed=IfChanged.FAIL)

    async def prepare_batch(
        self, folder: str, files: Mapping[str, bytes], *, prefix: str, **asked: Unpack[Asked]
    ) -> RecordId:
        """Make the files in a folder, ask for them as the api does, and return the batch's id. The hint is lost."""
        top = self.outgoing / folder
        for name, data in files.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_bytes(data)
        if OWNER not in self.accounts.by_name:
            await self.accounts.create(NewAccount(username=OWNER, scopes=()))
        return await self.ask_for((str(top),), prefix=prefix, **asked)

    async def ask_for(self, sources: tuple[str, ...], *, prefix: str, **asked: Unpack[Asked]) -> RecordId:
        """Ask for a batch as the api does, and return its id. The hint is lost."""
        new = NewBatch(
            owner=OWNER,
            sources=sources,
            root_of=(str(self.outgoing),) * len(sources),
            base=None,
            choice=Choice(),
            deliver_to=(BatchTarget(target=TARGET, prefix=prefix, if_exists=self.case.if_exists),),
            if_changed=IfChanged.FAIL,
            **asked,
        )
        batch, _ = await self.batches.register(new)
        return batch.id

    async def configure_target(self) -> None:
        """Do what the api does when it starts, so that the target is probed although nothing is delivered."""
        if OWNER not in self.accounts.by_name:
            await self.accounts.create(NewAccount(username=OWNER, scopes=()))
        definition = TargetDefinition(
            name=TARGET, kind="directory", fingerprint=self.target.fingerprint, allow_overwrite_race=False
        )
        await self.seen_targets.configure([definition])
        self._configured.update(self.seen_targets.rows)

    async def probed(self) -> TargetRecord:
        """Let dispatcher and workers work until the target was probed with success, and return its record."""
        (row,) = self._configured.values()
        deadline = asyncio.get_running_loop().time() + AT_REST_WITHIN_SECONDS
        while row.record.tried_at is None or row.record.error is not None:
            assert asyncio.get_running_loop().time() < deadline, f"no probe succeeds: {row.record}"
            await self.go_on()
        self.faults.raise_what_broke()
        return row.record

    async def see_target(self) -> None:
        """Probe the target as an earlier delivery did."""
        facts = await self.target.probe("earlier", may_write)
        await self.seen_targets.note_first(
            self.target.fingerprint, TARGET, facts, abilities=self.target.abilities, last_seconds=86_400
        )

    async def _register(self, path: Path, *, deliver_to: tuple[Destination, ...], if_changed: IfChanged) -> RecordId:
        source = await Source.open(str(path), Roots.any_of(self.settings.roots))
        identity = source.identity()
        source.close()
        new = NewFile(
            owner=OWNER,
            name=path.name,
            content_type="application/x-hdf5",
            length=identity.size,
            origin=ServerPath(path=str(path), identity=identity, if_changed=if_changed),
            queue=Queue.SMALL,
            deliver_to=deliver_to,
        )
        await self.usage.charge(OWNER, new.length)
        file, _ = await self.files.register(new)
        return file.id

    async def finalize(self, file_id: RecordId) -> None:
        """Open the delivery of the file as the api does. The hint is lost."""
        file = await self.file(file_id)
        (destination,) = file.deliver_to
        assert file.sha256 is not None
        new = NewDelivery(
            file_id=file.id,
            owner=file.owner,
            destination=destination,
            length=file.length,
            sha256=file.sha256,
            queue=file.queue,
        )
        await self.deliveries.open(new)

    async def rest(self) -> None:
        """Let dispatcher and workers work until no record waits for anything."""
        deadline = asyncio.get_running_loop().time() + AT_REST_WITHIN_SECONDS + self.case.retry_hours * 3600
        while self._waiting():
            assert asyncio.get_running_loop().time() < deadline, f"these never come to rest: {self._waiting()}"
            await self.go_on()
        self.faults.raise_what_broke()

    async def go_on(self) -> None:
        """Let the dispatcher send what is due, and workers do it."""
        await self._dispatcher.dispatch()
        for hints in self._messages():
            await self._work(hints)
        await asyncio.sleep(DISPATCH_SECONDS)

    async def file(self, file_id: RecordId) -> File:
        file = await self.files.get(file_id)
        assert file is not None
        return file

    async def delivery(self, file_id: RecordId) -> Delivery:
        (delivery,) = await self.deliveries.of_file(file_id)
        return delivery

    @property
    def account(self) -> Account:
        return self.accounts.by_name[OWNER]

    def _look(self) -> None:
        """Look at everything that must hold at every moment."""
        self.target.look()
        used_bytes = sum(row.record.used_bytes for row in self.files.rows.values())
        self.undercounted |= self.account.used_bytes < used_bytes

    def _waiting(self) -> list[Row[Any]]:
        rows: list[Row[Any]] = [
            *self.files.rows.values(),
            *self.deliveries.rows.values(),
            *self.contents.rows.values(),
            *self.batches.rows.values(),
            *self.lanes.rows.values(),
        ]
        times = ("next_attempt_at", "hint_at", "hinted_at", "lease_until")
        return [row for row in rows if any(getattr(row, name) is not None for name in times)]

    def _messages(self) -> Sequence[Sequence[Hint]]:
        """Return the hints of each message: the hints of new small files share a message, other hints have one each."""
        bundle = [hint for hint in self._hints if hint.task is TaskName.STORE_BUNDLE]
        others = [[hint] for hint in self._hints if hint.task is not TaskName.STORE_BUNDLE]
        self._hints.clear()
        return [bundle, *others] if bundle else others

    async def _work(self, hints: Sequence[Hint]) -> None:
        """Let a new worker take the message, until its journey ends or the worker dies."""
        self.life = Life(self.faults)
        runtime = self._runtime(self.life)
        journey = asyncio.create_task(_journey(runtime, hints))
        death = asyncio.create_task(self.life.dead.wait())
        await asyncio.wait([journey, death], return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if self.life.dead.is_set():
            journey.cancel()
            await asyncio.wait([journey])
            return
        with suppress(GridhaulError):  # Celery would log the error
            journey.result()
        self._note_errors()

    def _note_errors(self) -> None:
        records: list[File | Delivery | Batch] = [row.record for row in self.files.rows.values()]
        records += [row.record for row in self.deliveries.rows.values()]
        records += [row.record for row in self.batches.rows.values()]
        self.codes |= {record.error.code for record in records if record.error is not None}

    def _runtime(self, life: Life) -> Runtime:
        files: Any = FailingPort(self.files, name="files", error=DatabaseUnavailable, life=life)
        uploads: Any = FailingPort(self.uploads, name="uploads", error=DatabaseUnavailable, life=life)
        usage: Any = FailingPort(self.usage, name="usage", error=DatabaseUnavailable, life=life)
        deliveries: Any = FailingPort(self.deliveries, name="deliveries", error=DatabaseUnavailable, life=life)
        seen_targets: Any = FailingPort(self.seen_targets, name="seen_targets", error=DatabaseUnavailable, life=life)
        target = (FailingStagingTarget if self.case.atomic else FailingDirectTarget)(self.target, life=life)

        def attempts(
            records: Any,
            waiting: Any,
            failed: Any,
            kind: Callable[..., Attempts[Any]] = Attempts,
            most: int = MAX_ATTEMPTS,
        ) -> Any:
            return kind(
                records=records,
                waiting=waiting,
                failed=failed,
                stopping=lambda: life.stopping,
                renew_seconds=RENEW_SECONDS,
                lease_seconds=LEASE_SECONDS,
                limits=Limits(attempts=most, waiting_seconds=self.case.retry_hours * 3600),
            )

        return Runtime(
            settings=self.settings,
            holder="worker",
            stopping=lambda: life.stopping,
            files=files,
            deliveries=deliveries,
            contents=FailingContents(self.contents, life=life),
            usage=usage,
            chunks=failing_chunks(self.intake, life=life),
            targets=KnownTargets(ConfiguredTargets({TARGET: lambda: target}), seen_targets),
            hints=_Losing(),
            file_attempts=attempts(files, FileState.REGISTERED, FileState.FAILED),
            upload_attempts=attempts(files, FileState.STORING, FileState.FAILED),
            uploads=uploads,
            delete_attempts=attempts(files, FileState.DELETING, FileState.DELETING),
            delivery_attempts=attempts(deliveries, DeliveryState.QUEUED, DeliveryState.FAILED),
            cleaning_attempts=attempts(
                deliveries, DeliveryState.DELIVERED, DeliveryState.DELIVERED, Chores, sys.maxsize
            ),
            checking=UNUSED,
            batches=self._batches(life, attempts),
            probing=Probing(
                records=seen_targets,
                attempts=attempts(seen_targets, TargetState.WAITING, TargetState.WAITING, Probes, sys.maxsize),
            ),
            turns=alone(),
            close=_nothing_to_close,
        )

    def _batches(self, life: Life, attempts: Callable[..., Any]) -> Batches:
        def failing(port: object, name: str) -> Any:
            return FailingPort(port, name=name, error=DatabaseUnavailable, life=life)

        records = failing(self.batches, "batches")
        finding = Limits(attempts=MAX_ATTEMPTS, waiting_seconds=self.case.retry_hours * 3600)
        kind = partial(BatchAttempts, finding=finding)
        return Batches(
            records=records,
            lanes=failing(self.lanes, "lanes"),
            members=FailingMembers(self.members, life=life),
            deletion=failing(self.deletion, "deletion"),
            former=failing(self.former, "former"),
            planned_names=failing(self.planned_names, "planned_names"),
            skipped=failing(self.skipped, "skipped"),
            lists=failing(self.lists, "lists"),
            attempts=replace(attempts(records, BatchState.RUNNING, BatchState.RUNNING, kind), limits=UNLIMITED),
        )


async def _journey(runtime: Runtime, hints: Sequence[Hint]) -> None:
    if hints[0].task is TaskName.STORE_BUNDLE:
        await store_files(runtime, [hint.record_id for hint in hints])
    else:
        await JOURNEYS[hints[0].task](runtime, hints[0].record_id)


class _AlwaysHeld:
    async def hold(self) -> bool:
        return True

    async def give_up(self) -> None:
        """Do nothing: nobody else takes this lease."""


class _EmptyBroker:
    async def depths(self) -> dict[Queue, int]:
        return dict.fromkeys(Queue, 0)


class _Losing:
    """A sender that loses the hints of the journeys."""

    def offer(self, hint: Hint) -> None:
        """Drop the hint: the dispatcher finds its record later."""


async def _nothing_to_close() -> None:
    pass


def _settings(case: Case, root: Path) -> WorkerSettings:
    return WorkerSettings(
        mongo_url=SecretStr("mongodb://twin"),
        redis_url=SecretStr("redis://twin"),
        service_secret=SECRET,
        chunk_service_url="",
        roots=(root,),
        large_file_bytes=LARGE_FILE_BYTES,
        segment_chunks=case.segment_chunks,
        lease_seconds=LEASE_SECONDS,
        renew_seconds=RENEW_SECONDS,
        max_attempts=MAX_ATTEMPTS,
    )
