"""Prepare with one destination, with several, and with none."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gridhaul.transfer.model import Destination, IfExists, RecordId
from tests.api.service import Api, serving
from tests.contracts.ports import Ports, destination

SHOWN = {"target": "archive", "object_name": "run.h5", "if_exists": "fail"}
COPY = SHOWN | {"object_name": "copy.h5"}
MIRRORED = SHOWN | {"target": "mirror", "if_exists": "rename"}


@pytest.fixture
async def api(ports: Ports, tmp_path: Path) -> AsyncIterator[Api]:
    (tmp_path / "run.h5").write_bytes(b"bytes")
    async with serving(ports, root=tmp_path) as found:
        yield found


async def _prepare(api: Api, tmp_path: Path, deliver_to: object, *, key: str | None = None) -> httpx2.Response:
    body = {"file_path": str(tmp_path / "run.h5"), "deliver_to": deliver_to}
    return await api.http.post("/upload/prepare", json=body, headers={"Idempotency-Key": key} if key else {})


@pytest.mark.parametrize(
    ("asked", "shown", "kept"),
    [
        (None, None, ()),
        ({"target": "archive"}, SHOWN, (destination(),)),
        ([{"target": "archive"}], SHOWN, (destination(),)),
        (
            [{"target": "archive"}, COPY, MIRRORED],
            [SHOWN, COPY, MIRRORED],
            (destination(), destination(object_name="copy.h5"), destination("mirror", if_exists=IfExists.RENAME)),
        ),
    ],
)
async def test_file_shows_one_destination_as_an_object_and_several_as_a_list(
    api: Api, ports: Ports, tmp_path: Path, asked: object, shown: object, kept: tuple[Destination, ...]
) -> None:
    answer = await _prepare(api, tmp_path, asked)
    assert (answer.status_code, answer.json()["deliver_to"]) == (202, shown)
    file = await ports.files.get(RecordId(answer.json()["file_id"]))
    assert file is not None
    assert file.deliver_to == kept
    assert (await api.http.get(f"/files/{file.id}")).json()["deliver_to"] == shown


async def test_repeat_with_the_same_list_gets_the_same_file(api: Api, tmp_path: Path) -> None:
    asked = [{"target": "archive"}, {"target": "mirror"}]
    first, again = [(await _prepare(api, tmp_path, asked, key="k")).json()["file_id"] for _ in range(2)]
    assert first == again
    other = await _prepare(api, tmp_path, asked[:1], key="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")


@pytest.mark.parametrize("second", [{"target": "archive"}, {"target": "archive", "object_name": "run.h5"}])
async def test_same_object_twice_is_refused(api: Api, tmp_path: Path, second: dict[str, str]) -> None:
    refused = await _prepare(api, tmp_path, [{"target": "archive"}, second])
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_value")


@pytest.mark.parametrize(
    ("asked", "invalid"),
    [
        ([], "body.deliver_to"),
        ([{"target": "archive", "object_name": str(n)} for n in range(17)], "body.deliver_to"),
        ([{"target": "archive"}, {"object_name": "x"}], "body.deliver_to.target"),
        ([None], "body.deliver_to"),
        ("archive", "body.deliver_to"),
    ],
)
async def test_list_that_is_wrong_is_refused_by_the_name_of_the_member(
    api: Api, tmp_path: Path, asked: Any, invalid: str
) -> None:
    refused = await _prepare(api, tmp_path, asked)
    assert (refused.status_code, refused.json()["invalid"]) == (422, [invalid])


async def test_list_of_sixteen_is_taken(api: Api, tmp_path: Path) -> None:
    asked = [{"target": "archive", "object_name": str(n)} for n in range(16)]
    assert (await _prepare(api, tmp_path, asked)).status_code == 202


async def test_one_unknown_target_among_several_is_refused(api: Api, tmp_path: Path) -> None:
    refused = await _prepare(api, tmp_path, [{"target": "archive"}, {"target": "nowhere"}])
    assert (refused.status_code, refused.json()["code"]) == (422, "target_unknown")
