"""The journey that a turn of work makes, for each task of the queues in which accounts wait for each other."""

from collections.abc import Mapping, Sequence

from gridhaul.transfer.model import RecordId, TaskName
from tasks.delivering.deliver_together import deliver_together
from tasks.expire_upload import expire
from tasks.one_by_one import one_by_one
from tasks.runtime import Journey, Runtime
from tasks.store_bundle import store_files
from tasks.take_due import take_some
from tasks.turns import JourneyOfSeveral
from tasks.upload_file import store_file


def each(journey: Journey) -> JourneyOfSeveral[Runtime]:
    """Return a journey that makes `journey` for one record after the other."""

    async def of_several(runtime: Runtime, record_ids: Sequence[RecordId]) -> None:
        await one_by_one(runtime, journey, record_ids)

    return of_several


BY_TASK: Mapping[TaskName, JourneyOfSeveral[Runtime]] = {
    TaskName.UPLOAD_FILE: each(store_file),
    TaskName.EXPIRE_UPLOAD: each(expire),
    TaskName.STORE_BUNDLE: store_files,
    TaskName.FINALIZE_FILE: deliver_together,
    TaskName.TAKE_DUE: each(take_some),
}
