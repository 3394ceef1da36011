"""The media type of a file: prepare guesses it from the name, and the download answers it as it is."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gridhaul.transfer.model import File
from gridhaul.transfer.states import STORABLE, FileState
from tests.api.service import Api, serving
from tests.contracts.bytes_to_store import sealed
from tests.contracts.ports import Ports, new_file, registered

DATA = b"\xe4 is no UTF-8"
UNKNOWN = "application/octet-stream"


@pytest.fixture
async def api(ports: Ports, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(ports, root=tmp_path) as found:
        yield found


async def _stored(ports: Ports, content_type: str) -> File:
    """Return a stored file whose record has the media type."""
    content = await sealed(ports.contents, ports.intake_with(15), DATA)
    file = await registered(ports, replace(new_file(length=len(DATA)), content_type=content_type))
    taken = await ports.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert taken is not None
    await ports.files.finish(taken.lease, FileState.STORED, content_id=content.id, sha256=content.sha256)
    return file


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("notes.txt", "text/plain"),
        ("notes.txt.gz", "application/gzip"),
        ("run.tar.gz", "application/gzip"),
        ("run", UNKNOWN),
        ("data:☃/☃,x", UNKNOWN),
        ("data:text/html,x", UNKNOWN),
    ],
)
async def test_name_decides_by_its_last_suffix_alone(api: Api, tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "source").write_bytes(DATA)
    answer = await api.http.post("/upload/prepare", json={"file_path": str(tmp_path / "source"), "name": name})
    assert (answer.status_code, answer.json()["content_type"]) == (202, expected)


@pytest.mark.parametrize("content_type", ["text/plain", "text/csv", "application/x-hdf5"])
async def test_download_names_the_type_without_a_charset(api: Api, ports: Ports, content_type: str) -> None:
    answer = await api.http.get(f"/files/{(await _stored(ports, content_type)).id}/content")
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers.get_list("Content-Type") == [content_type]


@pytest.mark.parametrize("content_type", ["☃/☃", "text/plain;\r\nx: y", "text", ""])
async def test_file_whose_record_has_a_malformed_type_is_downloaded_as_unknown(
    api: Api, ports: Ports, content_type: str
) -> None:
    answer = await api.http.get(f"/files/{(await _stored(ports, content_type)).id}/content")
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers.get_list("Content-Type") == [UNKNOWN]
