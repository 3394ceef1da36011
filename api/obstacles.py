"""The obstacles of waiting work: a queue without a living worker, workers that cannot store files, a broker that
refuses writes, and a queue whose key in the broker is taken.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from api.repeating import repeat
from gridhaul.transfer.batches import Batch, BatchState
from gridhaul.transfer.broker_health import BrokerContents, queue_obstacle
from gridhaul.transfer.checks import Check, CheckState
from gridhaul.transfer.errors import BROKER_SILENT, BrokerUnavailable, DatabaseUnavailable, GridhaulError
from gridhaul.transfer.known_targets import TargetRecord, TargetState
from gridhaul.transfer.model import Delivery, File, Queue
from gridhaul.transfer.ports.heartbeats import HeartbeatLookup
from gridhaul.transfer.states import STORABLE, DeliveryState, FileState
from gridhaul.transfer.worker_health import HeartbeatGroup, storing_obstacle, worker_obstacle

PERIOD_SECONDS = 1.0  # the pause between two looks
ANSWER_SECONDS = 1.5  # how long a look waits for the database and for the broker

State = FileState | DeliveryState | CheckState | BatchState | TargetState

# No worker works on a record in one of these states until the broker has brought it a hint.
HINTED: frozenset[State] = frozenset(
    {
        FileState.REGISTERED,
        FileState.DELETING,
        DeliveryState.QUEUED,
        CheckState.QUEUED,
        BatchState.REGISTERING,
        TargetState.WAITING,
    }
)
WORKED_ON: frozenset[State] = frozenset(
    {FileState.STORING, DeliveryState.STREAMING, DeliveryState.COMMITTING, CheckState.RUNNING, TargetState.PROBING}
)

log = structlog.get_logger(__name__)


class Obstacles:
    """The obstacles that the latest look found. A loop in the background looks, so no request waits for a look.

    `heartbeats` is None before the first look, which begins when the api starts, and if the latest look could not read
    the heartbeats. Then no record is said to wait for workers. `broker_contents` is None before the first look, and
    while there is a `broker_error`.
    """

    def __init__(self, lookup: HeartbeatLookup, check_broker: Callable[[], Awaitable[BrokerContents]]) -> None:
        """`check_broker` raises a GridhaulError if the broker does not answer or refuses writes."""
        self._lookup = lookup
        self._check_broker = check_broker
        self.heartbeats: Sequence[HeartbeatGroup] | None = None
        self.broker_error: GridhaulError | None = None
        self.broker_contents: BrokerContents | None = None

    async def run(self) -> None:
        """Look every second until cancelled."""
        await repeat(self.look, every_seconds=PERIOD_SECONDS, log=log, name="look")

    async def look(self) -> None:
        """Read the heartbeats and check the broker."""
        self.heartbeats, broker = await asyncio.gather(self._read_heartbeats(), self._look_at_broker())
        self.broker_error = broker if isinstance(broker, GridhaulError) else None
        self.broker_contents = broker if isinstance(broker, BrokerContents) else None

    def readable_heartbeats(self) -> Sequence[HeartbeatGroup]:
        """Return the heartbeats of the latest look. Raises DatabaseUnavailable if that could not read them."""
        if self.heartbeats is None:
            raise DatabaseUnavailable("The api cannot read the workers' heartbeats from the database.")
        return self.heartbeats

    def of_file(self, file: File) -> GridhaulError | None:
        """Return the error that keeps the file from being stored or deleted, or None if no such error is known."""
        obstacle = self._of(file.state, file.queue)
        if obstacle is None and file.state in STORABLE and self.heartbeats is not None:
            return storing_obstacle(self.heartbeats, file.queue)
        return obstacle

    def of_delivery(self, delivery: Delivery) -> GridhaulError | None:
        """Return the error that keeps the delivery from being made. A delivery does not need the chunk service."""
        return self._of(delivery.state, delivery.queue)

    def of_check(self, check: Check) -> GridhaulError | None:
        """Return the error that keeps the check from running."""
        return self._of(check.state, check.queue)

    def of_batch(self, batch: Batch) -> GridhaulError | None:
        """Return the error that keeps the batch's files from being registered."""
        return self._of(batch.state, batch.queue) if batch.state is BatchState.REGISTERING else None

    def of_target(self, target: TargetRecord) -> GridhaulError | None:
        """Return the error that keeps the target from being probed, if a probe is under way or is still to come."""
        due = target.state is TargetState.PROBING or target.tried_at is None
        return self._of(target.state, target.queue) if due else None

    def _of(self, state: State, queue: Queue) -> GridhaulError | None:
        if state in HINTED and (error := self._hint_obstacle(queue)) is not None:
            return error
        if state in HINTED | WORKED_ON and self.heartbeats is not None:
            return worker_obstacle(self.heartbeats, queue)
        return None

    def _hint_obstacle(self, queue: Queue) -> GridhaulError | None:
        if self.broker_contents is None:
            return self.broker_error
        return queue_obstacle(self.broker_contents, queue)

    async def _read_heartbeats(self) -> Sequence[HeartbeatGroup] | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._lookup.groups()
        except (DatabaseUnavailable, TimeoutError):
            return None

    async def _look_at_broker(self) -> BrokerContents | GridhaulError:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._check_broker()
        except GridhaulError as error:
            return error
        except TimeoutError:
            return BrokerUnavailable(BROKER_SILENT)
