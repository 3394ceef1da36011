"""Stages as multipart uploads: the mark, the id, and the parts that count."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from gridhaul.targets.s3.documents import ListedPart, PartTag
from gridhaul.targets.s3.part_sizes import part_count, part_length
from gridhaul.transfer.errors import NotFound, TargetInconsistent
from gridhaul.transfer.model import Stage


def mark_of(stage: Stage) -> str:
    """Return what the object's metadata say of the stage: delivery and generation."""
    return PurePosixPath(stage.name).name


def begun(stage: Stage) -> tuple[str, int]:
    """Return the id of the upload and the size of its parts. Raises NotFound if it was never begun."""
    if stage.upload_id is None or stage.part_bytes is None:
        raise NotFound("The multipart upload was not begun.")
    return stage.upload_id, stage.part_bytes


def with_parts_before_offset(stage: Stage, part_bytes: int) -> Stage:
    """Return the stage with the parts that end before its offset. Raises TargetInconsistent if one is missing."""
    parts = stage.parts[: stage.offset // part_bytes]
    if len(parts) * part_bytes != stage.offset:
        raise TargetInconsistent("The offset of the object's stage is not the end of one of its parts.")
    return replace(stage, parts=parts)


def held(stage: Stage, part_bytes: int, listed: Mapping[int, ListedPart]) -> Stage | None:
    """Return the stage up to the first part that is not listed with the length and tag that were confirmed.

    Return None if no part counts. Only a part tells whether the upload was begun for parts with their SHA-256, and
    servers refuse an upload whose parts are of the other sort. Without a part, the object can be begun anew instead.
    """
    count = 0
    for number, part in enumerate(stage.parts, 1):
        length = part_length(number, length=stage.length, part_bytes=part_bytes)
        if listed.get(number) != ListedPart(etag=PartTag.read(part).etag, length=length):
            break
        count = number
    if not count:
        return None
    return replace(stage, parts=stage.parts[:count], offset=min(stage.length, count * part_bytes))


def all_parts(stage: Stage) -> list[PartTag]:
    """Return the tags of all parts of a whole stage. Raises TargetInconsistent if one is missing.

    Servers complete an upload from which parts are left out, and make an object of the others.
    """
    _, part_bytes = begun(stage)
    if not stage.is_whole or len(stage.parts) != part_count(stage.length, part_bytes):
        raise TargetInconsistent("Not all parts of the object are at the target.")
    return [PartTag.read(part) for part in stage.parts]
