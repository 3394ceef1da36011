"""`/files/{file_id}/chunks`: which chunks of a file are stored, in each state of the file, and what checks found."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from gridhaul.storage.connect import Database
from gridhaul.transfer.checks import RUNNABLE, CheckKind, CheckState, Mode, NewCheck
from gridhaul.transfer.findings import Finding, FindingCode, Outcome
from gridhaul.transfer.model import File, RecordId
from gridhaul.transfer.states import FILE_MOVES, Action, FileState
from tests.api.downloadable import Downloadable, downloadable
from tests.api.house import House, bearer
from tests.api.service import Api
from tests.api.uploads.bodies import body_of
from tests.api.uploads.process import make_account, new_process
from tests.contracts.bytes_to_store import MIB, opened, segment, some_bytes, store
from tests.contracts.ports import A_FILE, Ports, claimed, eventually, new_file, registered
from tests.tasks.check_bench import CheckBench, check_bench

LENGTH = 6 * MIB + 5  # 7 chunks
UNKNOWN = "f" * 24


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[CheckBench]:
    async with check_bench(database, tmp_path) as bench:
        yield bench


async def shown(api: Api, file_id: str, **query: object) -> dict[str, Any]:
    answer = await api.http.get(f"/files/{file_id}/chunks", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def shows(api: Api, file_id: str, stored: list[int]) -> dict[str, Any]:
    """Return the map once it shows these chunks: a count is shown for a moment, although it is outdated."""

    async def now() -> dict[str, Any] | None:
        found = await shown(api, file_id)
        return found if found["stored"] == stored else None

    found = await eventually(now)
    assert found is not None
    return found


async def storing(ports: Ports) -> File:
    """Return a file of 7 chunks, of which a worker has stored the first 3."""
    file = await claimed(ports, await registered(ports, new_file(length=LENGTH)))
    content = await opened(ports.contents, LENGTH, fence=file.fence)
    await store(ports.intake_with(0), content, segment(some_bytes(LENGTH), 0, 3))
    await ports.files.renew(file.lease, content_id=content.id, stored_bytes=3 * MIB)
    return file


async def over(ports: Ports, new: NewCheck, *findings: Finding) -> str:
    """Open a check and finish it with these findings. Return its id."""
    check, _ = await ports.checks.open(new)
    taken = await ports.checks.claim(check.id, holder="w", from_states=RUNNABLE, to_state=CheckState.RUNNING)
    assert taken is not None
    await ports.checks.finish(taken.lease, CheckState.DONE, findings=findings, found=len(findings))
    return check.id


@pytest.mark.parametrize(("limit", "layout"), [(15, "inline"), (0, "gridfs")])
async def test_stored_file_has_all_chunks_in_as_many_cells_as_are_asked_for(
    api: Api, ports: Ports, limit: int, layout: str
) -> None:
    stored = await downloadable(ports, some_bytes(LENGTH), inline_limit_chunks=limit)
    assert await shown(api, stored.file_id) == {
        "file_id": stored.file_id,
        "state": "STORED",
        "layout": layout,
        "chunk_count": 7,
        "chunks_per_cell": 1,
        "stored": [1] * 7,
        "findings": [],
        "checked": None,
    }
    few = await shown(api, stored.file_id, cells=3)
    assert (few["chunks_per_cell"], few["stored"]) == (3, [3, 3, 1])
    assert (await shown(api, stored.file_id, cells=1024))["stored"] == [1] * 7


async def test_file_that_nobody_has_begun_has_empty_cells(api: Api, ports: Ports) -> None:
    file = await registered(ports, new_file(length=LENGTH))
    found = await shown(api, file.id, cells=4)
    assert (found["state"], found["layout"], found["stored"]) == ("REGISTERED", None, [0] * 4)


async def test_file_that_is_being_stored_shows_what_is_there(api: Api, ports: Ports) -> None:
    file = await storing(ports)
    found = await shown(api, file.id)
    assert (found["state"], found["layout"], found["chunk_count"]) == ("STORING", "gridfs", 7)
    assert found["stored"] == [1, 1, 1, 0, 0, 0, 0]
    await ports.files.move(file.id, FILE_MOVES[Action.CANCEL])
    assert (await shown(api, file.id))["stored"] == [1, 1, 1, 0, 0, 0, 0]


async def test_chunks_of_a_content_that_is_outdated_do_not_count(api: Api, ports: Ports) -> None:
    file = await storing(ports)
    await ports.files.renew(file.lease, content_outdated=True, stored_bytes=0)
    assert (await shown(api, file.id))["stored"] == [0] * 7


async def test_upload_of_unknown_length_shows_the_chunks_up_to_its_offset(api: Api, ports: Ports) -> None:
    await make_account(ports)
    process = new_process(ports)
    file = await process.create(None)
    await process.append(file, body_of([some_bytes(2 * MIB + 5)]))
    found = await shown(api, file.id)
    assert (found["state"], found["chunk_count"], found["stored"]) == ("RECEIVING", None, [1, 1, 0])


async def test_empty_file_has_no_cells(api: Api, ports: Ports) -> None:
    stored = await downloadable(ports, b"", inline_limit_chunks=15)
    found = await shown(api, stored.file_id)
    assert (found["chunk_count"], found["chunks_per_cell"], found["stored"]) == (0, 1, [])


@pytest.mark.parametrize("swept", [False, True])
async def test_deleted_file_has_empty_cells_and_no_check(
    api: Api, ports: Ports, database: Database, swept: bool
) -> None:
    stored = await downloadable(ports, some_bytes(LENGTH), inline_limit_chunks=0)
    await over(ports, NewCheck(kind=CheckKind.FSCK, mode=Mode.REPORT, file_id=stored.file_id))
    await ports.files.request_delete(stored.file_id, deliveries_asked=0)
    await ports.contents.drop_ref(stored.content.id, A_FILE)
    deleting = frozenset({FileState.DELETING})
    taken = await ports.files.claim(stored.file_id, holder="w", from_states=deleting, to_state=FileState.DELETING)
    assert taken is not None
    await ports.files.finish(taken.lease, FileState.DELETED)
    if swept:
        await database["contents"].delete_one({"_id": ObjectId(stored.content.id)})
    found = await shown(api, stored.file_id, cells=2)
    assert (found["state"], found["stored"], found["checked"]) == ("DELETED", [0, 0], None)


def about(stored: Downloadable, code: FindingCode, n: int | None) -> Finding:
    return Finding(code=code, detail="d", content_id=stored.content.id, n=n, outcome=Outcome.NOT_REPAIRED, why_not="w")


async def test_findings_are_those_of_chunks_from_the_newest_check_of_this_content(api: Api, ports: Ports) -> None:
    stored = await downloadable(ports, some_bytes(LENGTH), inline_limit_chunks=0)
    scrub = NewCheck(kind=CheckKind.SCRUB, mode=Mode.REPORT)
    corrupt, wrong = about(stored, FindingCode.CHUNK_CORRUPT, 4), about(stored, FindingCode.DIGEST_FIELD_WRONG, 5)
    other = Finding(code=FindingCode.CHUNK_CORRUPT, detail="d", content_id=RecordId(UNKNOWN), n=2)
    check_id = await over(ports, scrub, other, about(stored, FindingCode.MANIFEST_DAMAGED, None), corrupt, wrong)
    found = await shown(api, stored.file_id)
    same = {"detail": "d", "outcome": "not_repaired", "why_not": "w"}
    assert found["findings"] == [
        {"n": 4, "code": "chunk_corrupt", **same},
        {"n": 5, "code": "digest_field_wrong", **same},
    ]
    ended = found["checked"].pop("ended")
    assert ended.endswith("Z")
    assert found["checked"] == {"check_id": check_id, "kind": "scrub", "mode": "report", "state": "DONE"}


async def test_check_that_is_not_over_has_no_end_and_hides_the_findings_before(api: Api, ports: Ports) -> None:
    stored = await downloadable(ports, some_bytes(LENGTH), inline_limit_chunks=0)
    of_file = NewCheck(kind=CheckKind.FSCK, mode=Mode.REPAIR, file_id=stored.file_id)
    await over(ports, of_file, about(stored, FindingCode.CHUNK_MISSING, 0))
    assert len((await shown(api, stored.file_id))["findings"]) == 1
    check, _ = await ports.checks.open(of_file)
    found = await shown(api, stored.file_id)
    same = {"check_id": check.id, "kind": "fsck", "mode": "repair", "state": "QUEUED"}
    assert (found["findings"], found["checked"]) == ([], {**same, "ended": None})


async def test_check_of_the_file_before_its_content_was_sealed_does_not_count(
    api: Api, ports: Ports, database: Database
) -> None:
    stored = await downloadable(ports, some_bytes(LENGTH), inline_limit_chunks=0)
    await over(ports, NewCheck(kind=CheckKind.FSCK, mode=Mode.REPORT, file_id=stored.file_id))
    assert (await shown(api, stored.file_id))["checked"] is not None
    later = [{"$set": {"sealed_at": {"$dateAdd": {"startDate": "$$NOW", "unit": "hour", "amount": 1}}}}]
    await database["contents"].update_one({"_id": ObjectId(stored.content.id)}, later)
    assert (await shown(api, stored.file_id))["checked"] is None


async def test_lost_chunk_is_shown_found_and_repaired(api: Api, bench: CheckBench) -> None:
    file, content = await bench.stored(LENGTH)
    await bench.database["fs.chunks"].delete_one({"files_id": ObjectId(content.id), "n": 4})
    lost = [1, 1, 1, 1, 0, 1, 1]
    assert (await shows(api, file.id, lost))["findings"] == []
    await bench.check(file_id=file.id)
    (finding,) = (await shown(api, file.id))["findings"]
    assert (finding["n"], finding["code"], finding["outcome"]) == (4, "chunk_missing", "found")
    await bench.check(mode=Mode.REPAIR, file_id=file.id)
    found = await shows(api, file.id, [1] * 7)
    assert [(one["n"], one["outcome"]) for one in found["findings"]] == [(4, "repaired")]
    clean = await bench.check(file_id=file.id)
    found = await shown(api, file.id)
    assert (found["findings"], found["checked"]["check_id"]) == ([], clean.id)


@pytest.mark.parametrize("cells", ["0", "1025", "1.5", "x", ""])
async def test_number_of_cells_that_is_none_is_refused(api: Api, ports: Ports, cells: str) -> None:
    file = await registered(ports)
    answer = await api.http.get(f"/files/{file.id}/chunks", params={"cells": cells})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")


async def test_unknown_file_and_that_of_another_account_are_not_found(house: House, ports: Ports) -> None:
    foreign, header = await registered(ports), bearer(await house.key())
    for file_id in (foreign.id, UNKNOWN):
        answer = await house.http.get(f"/files/{file_id}/chunks", headers=header)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
