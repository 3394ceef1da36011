"""What keeps work from going on: workers that do not answer, what workers miss, and a broker that takes no hints."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from api.repeating import repeat
from gridhaul.transfer.checks import Check, CheckState
from gridhaul.transfer.errors import BrokerUnavailable, DatabaseUnavailable, GridhaulError
from gridhaul.transfer.model import Delivery, File, Queue
from gridhaul.transfer.obstacles import WorkerSign, no_storing, no_worker
from gridhaul.transfer.ports.heartbeats import WorkerSigns
from gridhaul.transfer.states import STORABLE, DeliveryState, FileState

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 1.5

State = FileState | DeliveryState | CheckState

# A worker must get a hint before it works on a record in one of these states.
HINTED: frozenset[State] = frozenset(
    {FileState.REGISTERED, FileState.DELETING, DeliveryState.QUEUED, CheckState.QUEUED}
)
WORKED_ON: frozenset[State] = frozenset(
    {FileState.STORING, DeliveryState.STREAMING, DeliveryState.COMMITTING, CheckState.RUNNING}
)

log = structlog.get_logger(__name__)


class Obstacles:
    """The obstacles at the latest look. A loop in the background looks every second, so no answer waits for a look.

    While the database does not tell of the workers, `signs` is None, and no record is said to wait for them.
    """

    def __init__(self, workers: WorkerSigns, check_broker: Callable[[], Awaitable[None]]) -> None:
        """`check_broker` raises a GridhaulError while the broker takes no hints."""
        self._workers = workers
        self._check_broker = check_broker
        self._looking = asyncio.Lock()
        self._looked_at = -LOOK_SECONDS
        self.signs: Sequence[WorkerSign] | None = None
        self.broker: GridhaulError | None = None

    async def run(self) -> None:
        """Look again and again until cancelled."""
        await repeat(self.look, every_seconds=LOOK_SECONDS, log=log, name="look")

    async def look(self) -> None:
        """Look at the workers and at the broker, unless somebody did within the last second."""
        async with self._looking:
            if time.monotonic() - self._looked_at < LOOK_SECONDS:
                return
            self.signs, self.broker = await asyncio.gather(self._find_signs(), self._find_broker())
            self._looked_at = time.monotonic()

    def of_file(self, file: File) -> GridhaulError | None:
        """Return what keeps the file from being stored or deleted; None if nothing is known to, or it does not wait."""
        obstacle = self._of(file.state, file.queue)
        if obstacle is None and file.state in STORABLE and self.signs is not None:
            return no_storing(self.signs, file.queue)
        return obstacle

    def of_delivery(self, delivery: Delivery) -> GridhaulError | None:
        """Return what keeps the delivery from being made. A delivery does not need the chunk service."""
        return self._of(delivery.state, delivery.queue)

    def of_check(self, check: Check) -> GridhaulError | None:
        """Return what keeps the check from running."""
        return self._of(check.state, check.queue)

    def _of(self, state: State, queue: Queue) -> GridhaulError | None:
        if state in HINTED and self.broker is not None:
            return self.broker
        if state in HINTED | WORKED_ON and self.signs is not None:
            return no_worker(self.signs, queue)
        return None

    async def _find_signs(self) -> Sequence[WorkerSign] | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._workers.signs()
        except (DatabaseUnavailable, TimeoutError):
            return None

    async def _find_broker(self) -> GridhaulError | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._check_broker()
        except GridhaulError as error:
            return error
        except TimeoutError:
            return BrokerUnavailable("The broker Redis does not answer.")
        return None
