"""Ids of contents: ObjectIds in form, made of 8 random bytes and 4 bytes of creation time.

The ids that MongoDB makes ascend with time. On a sharded cluster they would send every new chunk to the one shard that
holds the highest ids. With random first bytes, chunks spread over all shards. So the order of content ids serves to
resume a walk, and never tells which content is newer.
"""

import os
import time
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from gridhaul.transfer.model import RecordId

RANDOM_BYTES = 8
CLOCKS_DIFFER_MOST = timedelta(days=1)


def new_content_id() -> RecordId:
    """Return a fresh id of 24 hex digits."""
    seconds = int(time.time()).to_bytes(12 - RANDOM_BYTES, "big")
    return RecordId((os.urandom(RANDOM_BYTES) + seconds).hex())


def creation_time(content_id: ObjectId, *, now: datetime) -> datetime:
    """Return when the id was made, to the second, by the clock of the process that made it.

    An older id, which MongoDB's own rule made, has a counter where a newer id has the time. More than half of the
    counter's values, read as a time, lie in the future. Then the time is read from the id's first 4 bytes.
    """
    seconds = int.from_bytes(content_id.binary[RANDOM_BYTES:], "big")
    made = datetime.fromtimestamp(seconds, UTC)
    return made if made <= now + CLOCKS_DIFFER_MOST else content_id.generation_time
