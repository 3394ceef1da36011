"""Final uploads of tus clients, before a worker has joined their parts."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api.uploads.parts import upload_of
from api.uploads.states import refusal
from api.uploads.tus.concatenation import KEPT_SECONDS
from gridhaul.transfer.errors import PartGone
from gridhaul.transfer.model import Failure
from gridhaul.transfer.states import FileState
from tests.api.service import Api
from tests.api.uploads.doors import BYTES, TUS, newest
from tests.api.uploads.process import Process


async def begin_part(api: Api, **fields: str) -> str:
    answer = await api.http.post("/uploads", headers={**TUS, "Upload-Concat": "partial", **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"])


async def test_length_of_a_final_upload_is_told_once_it_follows_from_its_parts(api: Api) -> None:
    """tus 1.0.0: Upload-Length is included if the length can be calculated at the time of the request."""
    known = await begin_part(api, **{"Upload-Length": "7"})
    unknown = await begin_part(api, **{"Upload-Defer-Length": "1"})
    concat = f"final;{known} {unknown} {known}"
    final = (await api.http.post("/uploads", headers={**TUS, "Upload-Concat": concat})).headers["Location"]
    before = (await api.http.head(final, headers=TUS)).headers
    assert (before["Upload-Defer-Length"], before.get("Upload-Length")) == ("1", None)
    named = {**BYTES, "Upload-Offset": "0", "Upload-Length": "10"}
    assert (await api.http.patch(unknown, headers=named, content=b"abc")).status_code == 204
    after = (await api.http.head(final, headers=TUS)).headers
    assert (after.get("Upload-Defer-Length"), after["Upload-Length"]) == (None, "24")
    assert (after["Upload-Concat"], after.get("Upload-Offset")) == (concat, None)


async def test_part_does_not_expire_before_a_worker_has_time_to_join_it(api: Api, process: Process) -> None:
    part = await begin_part(api, **{"Upload-Length": "7"})
    file = await newest(api, process)
    await process.ports.uploads_living(60).expire_within([file.id], owner=file.owner, seconds=60)
    joined = await api.http.post("/uploads", headers={**TUS, "Upload-Concat": f"final;{part}"})
    assert joined.status_code == 201
    kept = upload_of(await process.file(file.id)).expires_at - datetime.now(UTC)
    assert KEPT_SECONDS - 60 < kept.total_seconds() <= KEPT_SECONDS + 1


@pytest.mark.parametrize("detail", ["Part 2 of 3 was ended, or has expired; upload the file again."])
async def test_request_for_a_failed_upload_is_told_why_it_failed(process: Process, detail: str) -> None:
    file = await process.create(3)
    failed = replace(file, state=FileState.FAILED, error=Failure(code=PartGone.code, detail=detail))
    assert refusal(failed).detail == f"The upload has failed: {detail}"
