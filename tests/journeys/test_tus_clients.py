"""Clients that nobody here wrote, and one of Content-Range, upload through a line that is cut at random bytes."""

import random
from pathlib import Path

import pytest

from tests.clients.content_range import ContentRangeClient
from tests.clients.programs import Client, aiotus_client, curl, resumable_upload, tus_js, tus_js_5, tuspy, uppy
from tests.journeys.operator import MIB, Operator, make_file, sha256_of
from tests.servers.cutting import cutting

LENGTH = 32 * MIB + 12_345
CUTS = 20

CLIENTS: dict[str, Client] = {
    "tus-js-client, one PATCH": tus_js(),
    "tus-js-client, 5 MB each": tus_js(chunkSize=5_000_000),
    "tus-js-client, unknown length": tus_js(uploadLengthDeferred=True, chunkSize=3_000_000),
    "tus-js-client, POST instead of PATCH": tus_js(overridePatchMethod=True),
    "tus-js-client, bytes with the creation": tus_js(uploadDataDuringCreation=True),
    "tus-js-client, four parts at once": tus_js(parallelUploads=4),
    "tus-js-client 5 with the draft, one PATCH": tus_js_5(),
    "tus-js-client 5 with the draft, 5 MB each": tus_js_5(chunkSize=5_000_000),
    "tus-js-client 5 with the draft, POST instead of PATCH": tus_js_5(overridePatchMethod=True),
    "tus-js-client 5 with the draft, bytes with the creation": tus_js_5(uploadDataDuringCreation=True),
    "Uppy": uppy(),
    "tuspy": tuspy(),
    "tuspy, with checksums": tuspy(upload_checksum=True),
    "resumable-upload, with checksums": resumable_upload(),
    "resumable-upload, three parts at once, with checksums": resumable_upload(parallel=3, checksum="sha256"),
    "aiotus": aiotus_client(chunksize=1_000_000),  # more in one request blocks its event loop, as aiohttp warns
    "curl": curl(),
    "Content-Range, 5 MB each": ContentRangeClient(chunk_bytes=5_000_000, as_form=False),
    "Content-Range, 5 MB each in a form": ContentRangeClient(chunk_bytes=5_000_000, as_form=True, scheme="JWT"),
    "Content-Range, all the rest in a form": ContentRangeClient(chunk_bytes=LENGTH, as_form=True),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_upload_over_a_line_that_is_cut_is_whole(name: str, operator: Operator, sources: Path) -> None:
    source = make_file(sources / "cut-upload.bin", LENGTH)
    rng = random.Random(name)
    cuts = [rng.randrange(1000, LENGTH) for _ in range(CUTS)]
    with cutting(address_of(operator), cuts=cuts) as relay:
        address = CLIENTS[name](relay.url, operator.system.token, source, "ä/cut upload.bin")
        assert relay.made >= CUTS // 2
    file = operator.stored(file_id_of(address))
    assert (file["name"], file["length"]) == ("ä/cut upload.bin", LENGTH)
    assert file["digests"]["sha-256"] == sha256_of(source)


def address_of(operator: Operator) -> tuple[str, int]:
    host, _, port = operator.system.url.removeprefix("http://").partition(":")
    return host, int(port)


def file_id_of(address: str) -> str:
    """Return the id of the file that an upload's address leads to."""
    return address.rpartition("/")[2][:24]
