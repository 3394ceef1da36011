"""Batches in the Python client, against a small real server: requests, pages and downloads."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from api.batch_schemas import MOST_SOURCES
from gridhaul.client import ApiError, ApiUnreachable, BatchOrder, BatchTarget, Client, ClientError
from gridhaul.client.batch_records import PATHS_AT_MOST
from gridhaul.transfer.model import IfExists
from gridhaul.transfer.origins import IfChanged
from gridhaul.transfer.states import Action
from tests.cli.scripted_api import Answer, ScriptedApi, file, problem
from tests.cli.scripted_batches import BATCH_ID, START, THE_BATCH, batch, page

TARGET = BatchTarget(target="archive", prefix=None, if_exists=IfExists.FAIL)
ORDER = BatchOrder(paths=("/srv/a", "/srv/b*"), targets=(TARGET,), if_changed=IfChanged.FAIL)
SUMS = f"GET /batches/{BATCH_ID}/sha256sums"


@pytest.fixture
def client(api: ScriptedApi) -> Iterator[Client]:
    with Client(api.url, "a-token", patience_seconds=10, on_retry=lambda _: None) as client:
        yield client


def test_order_names_only_what_differs_from_the_choice_of_the_api(api: ScriptedApi, client: Client) -> None:
    api.script(START, Answer(body=batch("REGISTERING"), status=202))
    assert client.batches.start(ORDER)["batch_id"] == BATCH_ID
    assert json.loads(api.heard[0].body) == {
        "paths": ["/srv/a", "/srv/b*"],
        "deliver_to": [{"target": "archive", "if_exists": "fail"}],
        "if_changed": "fail",
    }


def test_repeated_order_has_the_same_key_and_the_next_order_another(api: ScriptedApi, client: Client) -> None:
    made = Answer(body=batch("REGISTERING"), status=202)
    api.script(START, problem(503, "database_unavailable", "Later.", Retry_After="0"), made)
    client.batches.start(ORDER)
    client.batches.start(ORDER)
    first, second, third = (heard.headers["idempotency-key"] for heard in api.calls(START))
    assert first == second != third


def test_next_page_is_asked_for_when_its_first_record_is_needed(api: ScriptedApi, client: Client) -> None:
    first = f"GET /files?batch={BATCH_ID}&order=name&limit=1000"
    api.script(first, {"files": [file("STORED", name="a"), file("STORED", name="b")], "next_cursor": "x"})
    api.script(f"{first}&cursor=x", page("files", file("STORED", name="c")))
    files = client.batches.files_by_name(BATCH_ID)
    assert [next(files)["name"], next(files)["name"], len(api.heard)] == ["a", "b", 1]
    assert [one["name"] for one in files] == ["c"]


def test_limit_ends_a_list_although_more_follow(api: ScriptedApi, client: Client) -> None:
    call = f"GET /files?batch={BATCH_ID}&state=FAILED&limit=2"
    api.script(call, {"files": [file("FAILED")] * 2, "next_cursor": "x"})
    assert len(list(client.batches.files(BATCH_ID, states=["FAILED"], limit=2))) == 2
    assert len(api.heard) == 1


def test_skipped_paths_are_fetched_page_by_page(api: ScriptedApi, client: Client) -> None:
    call = f"GET /batches/{BATCH_ID}/skipped?limit=1000"
    link = {"path": "/srv/a", "reason": "link", "detail": "Links are not followed."}
    api.script(call, {"skipped": [link], "next_cursor": "/srv/a"})
    api.script(f"{call}&cursor=%2Fsrv%2Fa", page("skipped", link))
    assert list(client.batches.skipped(BATCH_ID)) == [link, link]


def test_batch_is_followed_until_it_is_over(api: ScriptedApi, client: Client) -> None:
    api.script(THE_BATCH, batch("REGISTERING"), batch("RUNNING"), batch("PAUSED"), batch("DONE"))
    assert [one["state"] for one in client.batches.follow(BATCH_ID)] == ["REGISTERING", "RUNNING", "PAUSED", "DONE"]


def test_batch_is_operated_and_deleted(api: ScriptedApi, client: Client) -> None:
    for action in Action:
        api.script(f"POST /batches/{BATCH_ID}/{action}", batch("RUNNING"))
        assert client.batches.operate(BATCH_ID, action)["state"] == "RUNNING"
    api.script(f"DELETE /batches/{BATCH_ID}", batch("DELETING"))
    api.script(f"DELETE /batches/{BATCH_ID}?cancel=true", batch("DELETED"))
    assert client.batches.delete(BATCH_ID)["state"] == "DELETING"
    assert client.batches.cancel_and_delete(BATCH_ID)["state"] == "DELETED"


def test_digests_are_asked_for_again_while_the_api_is_away(api: ScriptedApi, client: Client) -> None:
    api.script(SUMS, problem(503, "database_unavailable", "Later.", Retry_After="0"), Answer(body="the digests"))
    into = io.BytesIO()
    client.batches.write_sha256sums(BATCH_ID, into)
    assert (into.getvalue(), len(api.heard)) == (b'"the digests"', 2)
    assert api.heard[0].headers["accept"] == "text/plain"


def test_refused_digests_write_nothing(api: ScriptedApi, client: Client) -> None:
    api.script(SUMS, problem(404, "not_found", "There is no such batch."))
    into = io.BytesIO()
    with pytest.raises(ApiError) as refused:
        client.batches.write_sha256sums(BATCH_ID, into)
    assert (refused.value.code, into.getvalue()) == ("not_found", b"")


def test_digests_that_break_off_are_fetched_again_from_the_start() -> None:
    class BreaksOff(BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self) -> None:
            type(self).asked += 1
            self.send_response(200)
            self.send_header("Content-Length", "12")
            self.end_headers()
            self.wfile.write(b"first second"[: 6 if type(self).asked < 3 else 12])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Write nothing to stderr."""

    retries: list[ClientError] = []
    into = io.BytesIO()
    with ThreadingHTTPServer(("127.0.0.1", 0), BreaksOff) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with Client(url, "a-token", patience_seconds=10, on_retry=retries.append) as client:
            client.batches.write_sha256sums(BATCH_ID, into)
        server.shutdown()
    assert into.getvalue() == b"first second"
    assert [type(error) for error in retries] == [ApiUnreachable, ApiUnreachable]


def test_as_many_paths_are_taken_as_the_api_takes() -> None:
    assert PATHS_AT_MOST == MOST_SOURCES
