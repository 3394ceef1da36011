"""Composition of a worker: the clients that each child process opens once, and the signals that start and stop it."""

import asyncio
import gc
import math
import os
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from celery import signals
from celery.worker import WorkController

from gridhaul.chunk_service_client.chunk_client import ChunkClient
from gridhaul.outgoing.http_client import make_client
from gridhaul.outgoing.tls import tls_context
from gridhaul.process.allocator import keep_freed_memory
from gridhaul.process.logging import configure_logging
from gridhaul.process.settings import SettingsError, WorkerSettings
from gridhaul.storage.accounts.usage import MongoRecounts, MongoUsage
from gridhaul.storage.agenda import MongoWaitingOwners
from gridhaul.storage.batches.batches import MongoBatches
from gridhaul.storage.batches.former_deliveries import MongoFormerDeliveries
from gridhaul.storage.batches.lanes import MongoLanes
from gridhaul.storage.batches.lists import MongoLists
from gridhaul.storage.batches.member_deletion import MongoMemberDeletion
from gridhaul.storage.batches.members import MongoMembers
from gridhaul.storage.batches.planned_names import MongoPlannedNames
from gridhaul.storage.batches.skipped import MongoSkippedPaths
from gridhaul.storage.checking.checks import MongoChecks
from gridhaul.storage.checking.inspection import MongoInspection
from gridhaul.storage.checking.mending import MongoMending
from gridhaul.storage.checking.objects import MongoObjects
from gridhaul.storage.checking.orphans import MongoOrphans
from gridhaul.storage.checking.stalled_records import MongoStalledRecords
from gridhaul.storage.checking.uploads import MongoBegunUploads
from gridhaul.storage.connect import connect
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.deliveries import MongoDeliveries
from gridhaul.storage.files import MongoFiles
from gridhaul.storage.heartbeats import MongoHeartbeats
from gridhaul.storage.seen_targets import MongoSeenTargets
from gridhaul.storage.uploads import MongoUploads
from gridhaul.targets.section import NewClient
from gridhaul.targets.targets_file import ConfiguredTargets, load_targets
from gridhaul.transfer.batches import BatchState
from gridhaul.transfer.checks import CheckState
from gridhaul.transfer.known_targets import TargetState
from gridhaul.transfer.model import Queue
from gridhaul.transfer.ports.accounts import AccountUsage
from gridhaul.transfer.ports.batches import (
    FormerDeliveries,
    Lanes,
    MemberDeletion,
    Members,
    PlannedNames,
    RunnableBatches,
    SkippedPaths,
)
from gridhaul.transfer.ports.checking import (
    BegunUploads,
    DeliveredObjects,
    Inspection,
    Mending,
    Orphans,
    Recounts,
    RunnableChecks,
    StalledRecords,
)
from gridhaul.transfer.ports.chunk_service import ChunkService, ChunkServiceHealth
from gridhaul.transfer.ports.contents import Contents
from gridhaul.transfer.ports.deliveries import DeliverableRecords
from gridhaul.transfer.ports.files import StorableFiles
from gridhaul.transfer.ports.heartbeats import Heartbeats
from gridhaul.transfer.ports.hints import Hints
from gridhaul.transfer.ports.lists import UsedLists
from gridhaul.transfer.ports.targets import ProbedTargets
from gridhaul.transfer.ports.uploads import ExpiringUploads
from gridhaul.transfer.retry import Limits
from gridhaul.transfer.states import DeliveryState, FileState
from tasks.attempt import Attempts, Chores
from tasks.batches.attempts import BatchAttempts
from tasks.delivering.known_targets import KnownTargets
from tasks.heartbeat import Heartbeat
from tasks.loop import LoopThread
from tasks.passed_over import PassedOver
from tasks.presence import Presence
from tasks.probes import Probes
from tasks.queue import HintSender
from tasks.transport import message_passed_over
from tasks.turns import Turns

A = TypeVar("A")
Journey = Callable[["Runtime", str], Coroutine[Any, Any, None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checking:
    """The dependencies that only checks have."""

    checks: RunnableChecks
    inspection: Inspection
    mending: Mending
    orphans: Orphans
    stalled_records: StalledRecords
    objects: DeliveredObjects
    uploads: BegunUploads
    recounts: Recounts
    attempts: Attempts[CheckState]


@dataclass(frozen=True, kw_only=True, slots=True)
class Batches:
    """The dependencies that only batches have."""

    records: RunnableBatches
    lanes: Lanes
    members: Members
    deletion: MemberDeletion
    former: FormerDeliveries
    planned_names: PlannedNames
    skipped: SkippedPaths
    lists: UsedLists
    attempts: BatchAttempts


@dataclass(frozen=True, kw_only=True, slots=True)
class Probing:
    """The dependencies that only probes of targets have."""

    records: ProbedTargets
    attempts: Attempts[TargetState]


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """The dependencies of all journeys."""

    settings: WorkerSettings
    holder: str
    stopping: Callable[[], bool]
    files: StorableFiles
    deliveries: DeliverableRecords
    contents: Contents
    uploads: ExpiringUploads
    usage: AccountUsage
    chunks: ChunkService
    targets: KnownTargets
    hints: Hints
    file_attempts: Attempts[FileState]
    upload_attempts: Attempts[FileState]
    delete_attempts: Attempts[FileState]
    delivery_attempts: Attempts[DeliveryState]
    cleaning_attempts: Chores[DeliveryState]
    checking: Checking
    batches: Batches
    probing: Probing
    turns: "Turns[Runtime]"
    close: Callable[[], Coroutine[Any, Any, None]]


class Worker:
    """One worker: the facts that the parent shares with its children, and a child's event loop and runtime."""

    def __init__(self) -> None:
        self.name = uuid4().hex  # made before the fork, so all children have it
        self.presence = Presence()
        self.passed_over = PassedOver()
        self.queues: frozenset[Queue] = frozenset()
        self._settings: WorkerSettings | None = None
        self._targets: ConfiguredTargets | None = None
        self._new_client: NewClient = make_client
        self._opening = threading.Lock()
        self._opened: tuple[LoopThread, Runtime] | None = None

    def prepare(self, queues: frozenset[Queue]) -> None:
        """Read and check settings and targets for all children, in the parent before the fork. Raises SettingsError.

        `queues` are the queues whose messages the worker takes.
        """
        self.queues = queues
        self.presence.note_connected()
        self._settings = WorkerSettings()
        tls = tls_context(self._settings.ca_file)
        answer_seconds = self._settings.answer_seconds
        self._new_client = partial(make_client, answer_seconds, tls=tls)
        self._targets = load_targets(
            self._settings.targets_file, new_client=self._new_client, answer_seconds=answer_seconds
        )

    def beat(self) -> None:
        """Note for the children, and in the heartbeat file, that the parent runs and is connected to the broker.

        Celery's own `inspect ping` cannot show that: it fails on busy workers.
        """
        self.presence.note_connected()
        if self._settings is not None and self._settings.heartbeat_file is not None:
            self._settings.heartbeat_file.touch()

    def open(self) -> tuple[LoopThread, Runtime]:
        """Return a child's event loop and runtime. The first call starts the loop and opens all clients in it."""
        with self._opening:
            if self._opened is None:
                assert self._settings is not None, "worker_init has run"  # noqa: S101
                assert self._targets is not None, "worker_init has run"  # noqa: S101
                keep_freed_memory()
                configure_logging()
                loop = LoopThread()
                composing = _compose(self._settings, self._targets, self._new_client, self)
                self._opened = loop, loop.run(composing)
                gc.freeze()  # the garbage collector need not look at objects that stay until the process stops
            return self._opened

    def close(self) -> None:
        if self._opened is not None:
            loop, runtime = self._opened
            loop.run(runtime.close())
            loop.close()

    def run(self, journey: Callable[["Runtime", A], Coroutine[Any, Any, None]], about: A) -> None:
        """Run a journey to its end.

        A pool of Celery without child processes never sends `worker_process_init`. There, the first
        journey opens the clients.
        """
        loop, runtime = self.open()
        loop.run(journey(runtime, about))

    def run_in_turn(self, journey: Callable[["Runtime", A], Coroutine[Any, Any, None]], about: A) -> None:
        """Do a turn of work for each account that waits, except the one served last, then run the journey."""

        async def after_others(runtime: Runtime, about: A) -> None:
            await runtime.turns.serve_others(runtime)
            await journey(runtime, about)

        self.run(after_others, about)


async def _compose(
    settings: WorkerSettings, targets: ConfiguredTargets, new_client: NewClient, worker: Worker
) -> Runtime:
    from tasks.turn_journeys import BY_TASK  # the journeys' modules import this one

    stopping = worker.presence.stopping
    database = connect(settings.mongo_url.get_secret_value(), settings.database)
    files = MongoFiles(database, lease_seconds=settings.lease_seconds)
    deliveries = MongoDeliveries(database, lease_seconds=settings.lease_seconds, sweep_seconds=settings.sweep_seconds)
    checks = MongoChecks(database, lease_seconds=settings.lease_seconds)
    batches = MongoBatches(database, lease_seconds=settings.lease_seconds)
    seen_targets = MongoSeenTargets(database, lease_seconds=settings.lease_seconds)
    client = new_client()
    secret = settings.service_secret.get_secret_value()
    chunks = ChunkClient(client, base_url=settings.chunk_service_url, secret=secret)
    hints = HintSender(settings.redis_url.get_secret_value())
    holder = f"{socket.gethostname()}:{os.getpid()}"
    beating = _start_heartbeat(MongoHeartbeats(database, holder=holder, worker=worker.name), chunks, worker)

    async def close() -> None:
        beating.cancel()
        await asyncio.wait([beating])
        hints.close()
        await targets.close()
        await client.aclose()
        await database.client.close()

    return Runtime(
        settings=settings,
        holder=holder,
        stopping=stopping,
        files=files,
        deliveries=deliveries,
        contents=MongoContents(database, sweep_seconds=settings.sweep_seconds, few_readers=True),
        usage=MongoUsage(database, quota_bytes=settings.quota_bytes),
        chunks=chunks,
        targets=KnownTargets(targets, seen_targets),
        hints=hints,
        file_attempts=Attempts(
            records=files, waiting=FileState.REGISTERED, failed=FileState.FAILED, **_pace(settings, stopping)
        ),
        upload_attempts=Attempts(
            records=files, waiting=FileState.STORING, failed=FileState.FAILED, **_pace(settings, stopping)
        ),
        uploads=MongoUploads(database, lease_seconds=settings.lease_seconds, lifetime_seconds=0, finish_seconds=0),
        delete_attempts=Attempts(
            records=files,
            waiting=FileState.DELETING,
            failed=FileState.DELETING,
            **_pace(settings, stopping) | {"limits": UNLIMITED},  # a delete is never given up
        ),
        delivery_attempts=Attempts(
            records=deliveries, waiting=DeliveryState.QUEUED, failed=DeliveryState.FAILED, **_pace(settings, stopping)
        ),
        cleaning_attempts=Chores(
            records=deliveries,
            # `clean_up` replaces `waiting` and `failed` by the state in which the delivery ended.
            waiting=DeliveryState.DELIVERED,
            failed=DeliveryState.DELIVERED,
            **_pace(settings, stopping) | {"limits": UNLIMITED},  # a cleaning is never given up
        ),
        checking=Checking(
            checks=checks,
            inspection=MongoInspection(database),
            mending=MongoMending(database),
            orphans=MongoOrphans(database, sweep_seconds=settings.sweep_seconds),
            stalled_records=MongoStalledRecords(database, sweep_seconds=settings.sweep_seconds),
            objects=MongoObjects(database, sweep_seconds=settings.sweep_seconds),
            uploads=MongoBegunUploads(database, sweep_seconds=settings.sweep_seconds),
            recounts=MongoRecounts(database, quiet_seconds=settings.sweep_seconds),
            attempts=Attempts(
                records=checks, waiting=CheckState.RUNNING, failed=CheckState.FAILED, **_pace(settings, stopping)
            ),
        ),
        batches=Batches(
            records=batches,
            lanes=MongoLanes(database),
            members=MongoMembers(database, files, deliveries),
            deletion=MongoMemberDeletion(database, files),
            former=MongoFormerDeliveries(database),
            planned_names=MongoPlannedNames(database),
            skipped=MongoSkippedPaths(database),
            lists=MongoLists(database),
            attempts=BatchAttempts(
                records=batches,
                # `BatchAttempts.of` replaces the states, and the limits while files are looked for.
                waiting=BatchState.RUNNING,
                failed=BatchState.RUNNING,
                finding=_pace(settings, stopping)["limits"],
                **_pace(settings, stopping) | {"limits": UNLIMITED},  # only the search for files is given up
            ),
        ),
        probing=Probing(
            records=seen_targets,
            attempts=Probes(
                records=seen_targets,
                waiting=TargetState.WAITING,
                failed=TargetState.WAITING,  # `Probes` never gives up
                **_pace(settings, stopping) | {"limits": UNLIMITED},
            ),
        ),
        turns=Turns(MongoWaitingOwners(database), queues=worker.queues, journeys=BY_TASK, stopping=stopping),
        close=close,
    )


def _start_heartbeat(heartbeats: Heartbeats, chunk_service: ChunkServiceHealth, worker: Worker) -> asyncio.Task[None]:
    """Start the loop that writes this process's heartbeats."""
    heartbeat = Heartbeat(
        heartbeats,
        chunk_service,
        queues=worker.queues,
        takes_messages=worker.presence.takes_messages,
        passed_over=worker.passed_over.count,
    )
    return asyncio.create_task(heartbeat.run())


def _pace(settings: WorkerSettings, stopping: Callable[[], bool]) -> dict[str, Any]:
    return {
        "stopping": stopping,
        "renew_seconds": settings.renew_seconds,
        "lease_seconds": settings.lease_seconds,
        "limits": Limits(attempts=settings.max_attempts, waiting_seconds=settings.retry_hours * 3600),
    }


UNLIMITED = Limits(attempts=sys.maxsize, waiting_seconds=math.inf)
worker = Worker()


@signals.worker_init.connect
def _check(sender: WorkController, **_: object) -> None:
    taken = sender.app.amqp.queues.consume_from
    try:
        worker.prepare(frozenset(queue for queue in Queue if queue.value in taken))
    except SettingsError as error:
        sys.exit(f"The worker cannot start: {error}")


@signals.worker_process_init.connect
def _open(**_: object) -> None:
    worker.open()


@signals.worker_process_shutdown.connect
def _close(**_: object) -> None:
    worker.close()


@signals.worker_shutting_down.connect
def _stop(**_: object) -> None:
    worker.presence.ask_to_stop()


@message_passed_over.connect
def _note(queue: str, length_bytes: int, *, kept: bool, **_: object) -> None:
    worker.passed_over.note(queue=queue, length_bytes=length_bytes, kept=kept)


@signals.worker_ready.connect
@signals.heartbeat_sent.connect
def _beat(**_: object) -> None:
    worker.beat()
