"""Makes the same journey for several records, one after the other."""

from collections.abc import Iterable

from gridhaul.transfer.model import RecordId
from tasks.runtime import Journey, Runtime


async def one_by_one(runtime: Runtime, journey: Journey, record_ids: Iterable[RecordId]) -> None:
    """Make the journey for each record, until the worker is to stop."""
    for record_id in record_ids:
        if runtime.stopping():
            return
        await journey(runtime, record_id)
