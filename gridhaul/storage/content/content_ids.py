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

    Older ids, made by MongoDB, begin with the time and end with a counter. If the last 4 bytes are a time more than
    CLOCKS_DIFFER_MOST ahead, the id is an old one, and its first 4 bytes are the time. Less than half of the old ids
    are not recognised: for them the result is a wrong time in the past.
    """
    seconds = int.from_bytes(content_id.binary[RANDOM_BYTES:], "big")
    made = datetime.fromtimestamp(seconds, UTC)
    return made if made <= now + CLOCKS_DIFFER_MOST else content_id.generation_time
