"""The Python client against a small real server: the requests that it repeats or gives up, and its errors."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qs

import pytest

from gridhaul.client import ApiError, ApiUnreachable, Client, ClientError, DeliverTo, Order, connection, logged_in
from gridhaul.client.records import DeliveryRecord, FileRecord
from gridhaul.embedded.network import free_ports
from gridhaul.transfer.model import IfExists
from gridhaul.transfer.origins import IfChanged
from tests.cli.scripted_api import (
    FILE_ID,
    ITS_DELIVERIES,
    PREPARE,
    THE_DELIVERY,
    THE_FILE,
    TOKEN,
    Answer,
    ScriptedApi,
    deliveries,
    delivery,
    file,
    problem,
    serve,
)
from tests.servers.canned import canned_answer

ORDER = Order(
    path="/srv/run42.h5",
    destination=DeliverTo(target="archive", object_name=None, if_exists=IfExists.FAIL),
    if_changed=IfChanged.RESTART,
)


@pytest.fixture
def retries() -> list[ClientError]:
    return []


@pytest.fixture
def client(api: ScriptedApi, retries: list[ClientError]) -> Iterator[Client]:
    with Client(api.url, TOKEN, patience_seconds=10, on_retry=retries.append) as client:
        yield client


def test_prepare_sends_order_token_and_key(api: ScriptedApi, client: Client) -> None:
    api.script(PREPARE, Answer(body=file("REGISTERED"), status=202))
    assert client.prepare(ORDER)["file_id"] == FILE_ID
    (heard,) = api.heard
    assert json.loads(heard.body) == {
        "file_path": "/srv/run42.h5",
        "deliver_to": {"target": "archive", "if_exists": "fail"},
        "if_changed": "restart",
    }
    assert heard.headers["authorization"] == f"Bearer {TOKEN}"
    assert len(heard.headers["idempotency-key"]) == 36


def test_prepare_sends_several_destinations_as_a_list(api: ScriptedApi, client: Client) -> None:
    api.script(PREPARE, Answer(body=file("REGISTERED"), status=202))
    client.prepare(replace(ORDER, further=(DeliverTo(target="mirror", object_name="x", if_exists=IfExists.FAIL),)))
    assert json.loads(api.heard[0].body)["deliver_to"] == [
        {"target": "archive", "if_exists": "fail"},
        {"target": "mirror", "if_exists": "fail", "object_name": "x"},
    ]


def test_repeated_prepare_carries_the_same_key_and_another_prepare_another(api: ScriptedApi, client: Client) -> None:
    busy = problem(503, "database_unavailable", "Later.", Retry_After="0")
    api.script(PREPARE, busy, busy, Answer(body=file("REGISTERED"), status=202))
    client.prepare(ORDER)
    client.prepare(ORDER)
    first, second, third, other = (heard.headers["idempotency-key"] for heard in api.heard)
    assert first == second == third != other
    assert len({heard.body for heard in api.heard}) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(api: ScriptedApi, client: Client, retries: list[ClientError], status: int) -> None:
    api.script(THE_FILE, problem(status, "busy", "Later.", Retry_After="1"), file("STORED"))
    assert client.file(FILE_ID)["state"] == "STORED"
    first, second = api.heard
    assert second.at - first.at >= 1
    assert [str(error) for error in retries] == ["busy: Later."]


def test_server_that_comes_later_is_waited_for() -> None:
    with ExitStack() as stack:
        (port,) = free_ports(1)
        api = ScriptedApi(port)
        api.script(THE_FILE, file("STORED"))

        started: list[ClientError] = []

        def on_retry(error: ClientError) -> None:
            if not started:
                stack.enter_context(serve(api, socket.create_server(("127.0.0.1", port))))
            started.append(error)

        with Client(api.url, TOKEN, patience_seconds=20, on_retry=on_retry) as client:
            assert client.file(FILE_ID)["state"] == "STORED"
        assert isinstance(started[0], ApiUnreachable)


def test_patience_ends() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    retries: list[ClientError] = []
    with (
        Client(url, TOKEN, patience_seconds=1, on_retry=retries.append) as client,
        pytest.raises(ApiUnreachable, match=url),
    ):
        client.file(FILE_ID)
    assert retries


def test_retry_after_beyond_the_patience_is_not_waited_for(api: ScriptedApi, client: Client) -> None:
    api.script(THE_FILE, problem(429, "rate_limited", "Later.", Retry_After="3600"))
    with pytest.raises(ApiError) as caught:
        client.file(FILE_ID)
    assert caught.value.retry_after_seconds == 3600
    assert len(api.heard) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500, 507])
def test_refusal_is_raised_at_once(api: ScriptedApi, client: Client, status: int) -> None:
    api.script(THE_FILE, problem(status, "some_code", "Why."))
    with pytest.raises(ApiError, match=r"^some_code: Why\.$") as caught:
        client.file(FILE_ID)
    assert (caught.value.code, caught.value.status, caught.value.detail) == ("some_code", status, "Why.")
    assert len(api.heard) == 1


def test_redirect_is_not_followed(api: ScriptedApi, client: Client) -> None:
    api.script(THE_FILE, Answer(body={}, status=307, headers={"Location": f"{api.url}/elsewhere"}))
    with pytest.raises(ApiError) as caught:
        client.file(FILE_ID)
    assert (caught.value.code, caught.value.status) == ("unexpected_answer", 307)
    assert caught.value.detail.endswith("Does it expect https?")
    assert len(api.heard) == 1


def test_answer_of_something_else_is_an_error(api: ScriptedApi, client: Client) -> None:
    api.script(THE_FILE, Answer(body=["a", "list"]))
    with pytest.raises(ApiError, match="unexpected_answer"):
        client.file(FILE_ID)


FOREIGN = {
    "of another framework": Answer(body={"detail": "Not Found"}, status=404),
    "with a code, as plain JSON": Answer(body={"code": "not_found", "detail": "x", "status": 404}, status=404),
    "of another API": Answer(
        body={"title": "Not Found", "status": 404}, status=404, headers={"Content-Type": "application/problem+json"}
    ),
    "forbidden by a proxy": Answer(body="<h1>Forbidden</h1>", status=403),
}


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
def test_refusal_that_is_not_the_apis_says_so(api: ScriptedApi, client: Client, foreign: Answer) -> None:
    api.script(THE_FILE, foreign)
    with pytest.raises(ApiError) as caught:
        client.file(FILE_ID)
    assert (caught.value.code, caught.value.status) == ("unexpected_answer", foreign.status)
    assert caught.value.detail == (
        f"The answer of {api.url} with status {foreign.status} did not come from an api of Gridhaul; "
        "check the URL, and any proxy on the way."
    )


def test_proxy_of_the_environment_is_not_used(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    api.script(THE_FILE, file("STORED"))
    with Client(api.url, TOKEN, patience_seconds=1, on_retry=lambda _: None) as behind:
        assert behind.file(FILE_ID)["state"] == "STORED"


def test_follow_asks_for_one_record_a_look(api: ScriptedApi, client: Client) -> None:
    api.script(THE_FILE, file("STORING"), file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(), deliveries(delivery("QUEUED")))
    api.script(THE_DELIVERY, delivery("STREAMING"), delivery("DELIVERED"))
    seen = [transfer.state for transfer in client.follow(FILE_ID, "archive")]
    assert seen == ["STORING", "STORED", "QUEUED", "STREAMING", "DELIVERED"]
    stored = [THE_FILE, ITS_DELIVERIES]
    assert [heard.call for heard in api.heard] == [THE_FILE, *stored, *stored, THE_DELIVERY, THE_DELIVERY]


def test_delivery_that_is_over_is_not_asked_for_again(api: ScriptedApi, client: Client) -> None:
    over = cast(DeliveryRecord, delivery("DELIVERED"))
    seen = [transfer.delivery for transfer in client.follow_delivery(cast(FileRecord, file("STORED")), over)]
    assert (seen, api.heard) == ([over], [])


@pytest.mark.parametrize(
    "url", ["", "archive.example", "ftp://archive.example", "http://", "http://u:p@archive.example"]
)
def test_what_is_no_url_of_an_api_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Client(url, TOKEN, patience_seconds=1, on_retry=lambda _: None)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "tökén"])
def test_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Client("http://127.0.0.1:1", token, patience_seconds=1, on_retry=lambda _: None)


def test_answer_without_content_is_no_error(api: ScriptedApi, client: Client) -> None:
    api.script(f"DELETE /keys/{FILE_ID}", Answer(body=None, status=204))
    client.keys.revoke(FILE_ID)


def test_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The api may close it at that moment, and a request that must not be carried out twice would fail."""
    monkeypatch.setattr(connection, "KEPT_SECONDS", 0.05)
    connections = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            nonlocal connections
            connections += 1
            super().setup()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        with Client(f"http://127.0.0.1:{server.server_port}", TOKEN, patience_seconds=0, on_retry=print) as client:
            for _ in range(3):
                client.file(FILE_ID)
                time.sleep(0.1)
        server.shutdown()
    assert connections == 3


def make_key(client: Client) -> object:
    return client.keys.create("exports", scopes=None, expires_in_days=None, account=None)


def make_account(client: Client) -> object:
    return client.accounts.create("bob", {"scopes": []})


def change_password(client: Client) -> object:
    client.accounts.change_own_password("the old one", "the new one", revoke_keys=False)
    return None


ONCE = {"POST /keys": make_key, "POST /accounts": make_account, "PUT /account/password": change_password}


@pytest.mark.parametrize("call", ONCE)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_what_may_be_done_already_is_not_done_again(api: ScriptedApi, client: Client, call: str, status: int) -> None:
    api.script(call, problem(status, "some_code", "Why.", Retry_After="0"))
    with pytest.raises(ApiError) as caught:
        ONCE[call](client)
    assert caught.value.may_be_done
    assert len(api.heard) == 1


@pytest.mark.parametrize("call", ONCE)
def test_what_was_put_off_is_done_once(api: ScriptedApi, client: Client, call: str) -> None:
    api.script(call, problem(429, "too_many_requests", "Later.", Retry_After="0"), Answer(body={}, status=201))
    ONCE[call](client)
    assert len(api.heard) == 2


def test_answer_that_was_lost_leaves_open_whether_it_is_done() -> None:
    retries: list[ClientError] = []
    with (
        canned_answer(b"", reads_on=False) as url,
        Client(url, TOKEN, patience_seconds=10, on_retry=retries.append) as client,
        pytest.raises(ApiUnreachable) as caught,
    ):
        make_key(client)
    assert caught.value.may_be_done
    assert retries == []


def test_api_that_was_not_reached_has_done_nothing() -> None:
    retries: list[ClientError] = []
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with (
        Client(url, TOKEN, patience_seconds=1, on_retry=retries.append) as client,
        pytest.raises(ApiUnreachable) as caught,
    ):
        make_key(client)
    assert not caught.value.may_be_done
    assert retries


LOGIN = {"access_token": "access", "token_type": "Bearer", "expires_in": 900, "refresh_token": "refresh", "scope": ""}


def test_login_lasts_as_long_as_its_client(api: ScriptedApi) -> None:
    api.script("POST /auth/token/", LOGIN)
    api.script("POST /auth/revoke", Answer(body=None, status=204))
    api.script(THE_FILE, problem(404, "not_found", "There is none."))
    with (
        pytest.raises(ApiError, match="There is none"),
        logged_in(api.url, username="bob", password="a b&c=é", patience_seconds=1, on_retry=lambda _: None) as client,
    ):
        client.file(FILE_ID)
    login, look, logout = api.heard
    assert parse_qs(login.body.decode()) == {"grant_type": ["password"], "username": ["bob"], "password": ["a b&c=é"]}
    assert look.headers["authorization"] == "Bearer access"
    assert (logout.call, logout.body) == ("POST /auth/revoke", b"token=refresh")
    assert "authorization" not in login.headers
    assert "authorization" not in logout.headers


def test_login_that_cannot_be_ended_is_no_failure(api: ScriptedApi) -> None:
    api.script("POST /auth/token/", LOGIN)
    api.script("POST /auth/revoke", problem(500, "internal", "No."))
    api.script(THE_FILE, file("STORED"))
    with logged_in(api.url, username="b", password="p", patience_seconds=1, on_retry=lambda _: None) as client:
        assert client.file(FILE_ID)["state"] == "STORED"
