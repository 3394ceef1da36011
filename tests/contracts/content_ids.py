"""Ids of contents that were made at a given time."""

import os
from datetime import datetime

from bson import ObjectId


def content_id_of(made: datetime) -> ObjectId:
    """Return the id of a content that was made at that time: 8 random bytes, then the seconds."""
    return ObjectId(os.urandom(8) + int(made.timestamp()).to_bytes(4, "big"))
