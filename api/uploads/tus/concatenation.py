"""Uploads that are joined from parts: the extensions `concatenation` and `concatenation-unfinished` of tus 1.0.0."""

import re
from collections.abc import Sequence
from secrets import compare_digest

from api.dependencies import Service
from api.uploads.creating import ID_DIGITS
from api.uploads.parts import reserved_length, upload_of
from api.uploads.states import refusal
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import DoorConflict, Malformed, NotFound
from gridhaul.transfer.model import File, RecordId
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState

FIELD = "Upload-Concat"
PARTIAL = "partial"
FINAL = "final;"
KEPT_SECONDS = 86400.0  # how long parts live at least that are to be joined: a worker may not have time for it at once
ADDRESS = re.compile(r"(?:https?://[^/?#]+)?(?:/[^?#]*)?/uploads/([0-9a-f]{56})")


def upload_ids(concat: str) -> Sequence[str]:
    """Return the ids of the uploads that the field names for a final upload. Raises Malformed."""
    found = [ADDRESS.fullmatch(address) for address in concat.removeprefix(FINAL).split()]
    if not concat.startswith(FINAL) or not found:
        raise Malformed(f"{FIELD} must be `partial`, or `final;` and the addresses of uploads, separated by spaces.")
    ids = [match[1] for match in found if match]
    if len(ids) < len(found):
        raise Malformed(f"Each address in {FIELD} must be that of an upload, as Location had it.")
    return ids


async def parts_of(service: Service, caller: Caller, ids: Sequence[str]) -> Sequence[File]:
    """Return the parts with these ids, in their order; a part may occur more than once.

    They live for KEPT_SECONDS at least. Raises NotFound, DoorConflict for an upload that was not begun as a part, and
    what a request to one that has ended would get.
    """
    wanted = {RecordId(upload_id[:ID_DIGITS]) for upload_id in ids}
    found = {file.id: file for file in await service.uploads.registry.get_all(wanted)}
    parts = [_part(found.get(RecordId(one[:ID_DIGITS])), caller, one[ID_DIGITS:], n) for n, one in enumerate(ids, 1)]
    await service.uploads.registry.keep(wanted, seconds=KEPT_SECONDS)
    return parts


def _part(file: File | None, caller: Caller, token: str, n: int) -> File:
    is_known = file is not None and file.owner == caller.username and file.upload is not None
    if file is None or not is_known or not compare_digest(upload_of(file).token, token):
        raise NotFound(f"There is no such upload: the {n}. of {FIELD}.")
    if upload_of(file).door is not Door.TUS_PART:
        raise DoorConflict(f"The {n}. upload of {FIELD} was not begun with `{FIELD}: {PARTIAL}`.")
    if file.state is not FileState.RECEIVING:
        raise refusal(file)
    return file


async def length_now(service: Service, file: File) -> int | None:
    """Return the length of an upload; None while it is not known. That of a final upload follows from its parts."""
    length, ids = reserved_length(file), upload_of(file).parts
    if length is not None or not ids:
        return length
    found = {part.id: part for part in await service.uploads.registry.get_all({*map(RecordId, ids)})}
    return joined_length([found[RecordId(one)] for one in ids]) if len(found) == len({*ids}) else None


def joined_length(parts: Sequence[File]) -> int | None:
    """Return the length of all parts together in bytes; None while that of a part is not known."""
    lengths = [reserved_length(part) for part in parts]
    return sum(length for length in lengths if length is not None) if None not in lengths else None
