"""A client that follows a long transfer: by the events of the api, and by looks where there are none."""

from collections.abc import Iterator

import pytest

from gridhaul.client import Client, ClientError, Transfer, file_events, following
from tests.cli.scripted_api import (
    ITS_DELIVERIES,
    ITS_EVENTS,
    THE_DELIVERY,
    THE_FILE,
    TOKEN,
    Answer,
    Events,
    ScriptedApi,
    deliveries,
    delivery,
    file,
    problem,
)

OTHER_ID = "6740c0ffee0123456789eeee"
STORING = {"kind": "file", **file("STORING", stored_bytes=1)}


@pytest.fixture
def client(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Return a client for which every transfer takes long."""
    monkeypatch.setattr(following, "LONGEST_SECONDS", 0.05)
    retries: list[ClientError] = []
    with Client(api.url, TOKEN, patience_seconds=10, on_retry=retries.append) as client:
        yield client
    assert not retries


def _shown(transfers: Iterator[Transfer]) -> list[tuple[str, int]]:
    """Return the states and bytes of the records that change, as they are followed."""
    return [(one.state, one.delivery["sent_bytes"] if one.delivery else one.file["stored_bytes"]) for one in transfers]


def test_events_tell_of_a_long_storing(api: ScriptedApi, client: Client) -> None:
    stored = ("file", file("STORED"))
    api.script(ITS_EVENTS, Events(told=[("file", file("STORING")), ("progress", STORING), stored], goes_on=True))
    shown = _shown(client.follow_storing(file("STORING")))  # type: ignore[arg-type]
    assert [state for state, _ in shown] == ["STORING", "STORING", "STORING", "STORED"]
    assert [moved for _, moved in shown[:3]] == [0, 0, 1]
    assert [heard.call for heard in api.heard] == [ITS_EVENTS]
    assert api.heard[0].headers["accept"] == "text/event-stream"


def test_events_of_other_deliveries_of_the_file_are_passed_over(api: ScriptedApi, client: Client) -> None:
    other = delivery("DELIVERED", delivery_id=OTHER_ID)
    told = [
        ("delivery", other),
        ("delivery", delivery("COMMITTING", sent_bytes=4)),
        ("delivery", delivery("DELIVERED")),
    ]
    api.script(ITS_EVENTS, Events(told=told, goes_on=True))
    streaming = delivery("STREAMING")
    shown = _shown(client.follow_delivery(file("STORED"), streaming))  # type: ignore[arg-type]
    assert [state for state, _ in shown] == ["STREAMING", "COMMITTING", "DELIVERED"]


def test_delivery_that_begins_while_events_tell_of_the_file_is_followed(api: ScriptedApi, client: Client) -> None:
    api.script(THE_FILE, file("STORING"), file("STORED"))
    api.script(ITS_EVENTS, Events(told=[("file", file("STORED"))]), Events(told=[("delivery", delivery("DELIVERED"))]))
    api.script(ITS_DELIVERIES, deliveries(), deliveries(delivery("STREAMING")))
    shown = _shown(client.follow(file("STORED")["file_id"], "archive"))
    assert [state for state, _ in shown] == ["STORING", "STORED", "STORED", "STREAMING", "DELIVERED"]


@pytest.mark.parametrize(
    "refusal",
    [
        problem(404, "path_unknown", "An older api."),
        problem(503, "streams_busy", "Too many."),
        Answer(body={"this": "is no stream"}),
    ],
    ids=["older", "busy", "other"],
)
def test_api_without_events_is_looked_at_and_not_asked_for_them_again(
    api: ScriptedApi, client: Client, refusal: Answer
) -> None:
    api.script(ITS_EVENTS, refusal)
    api.script(THE_FILE, file("STORING", stored_bytes=1), file("STORING", stored_bytes=2), file("STORED"))
    shown = _shown(client.follow_storing(file("STORING")))  # type: ignore[arg-type]
    assert [moved for _, moved in shown[:3]] == [0, 1, 2]
    assert shown[-1][0] == "STORED"
    assert len(api.calls(THE_FILE)) == 3
    assert len(api.calls(ITS_EVENTS)) == 1


def test_stream_that_ends_is_opened_again_after_a_look(api: ScriptedApi, client: Client) -> None:
    api.script(ITS_EVENTS, Events(told=[("progress", STORING)]), Events(told=[("file", file("STORED"))]))
    api.script(THE_FILE, file("STORING", stored_bytes=2))
    shown = _shown(client.follow_storing(file("STORING")))  # type: ignore[arg-type]
    assert [moved for _, moved in shown[:3]] == [0, 1, 2]
    assert [heard.call for heard in api.heard] == [ITS_EVENTS, THE_FILE, ITS_EVENTS]


def test_stream_that_stays_silent_is_given_up_at_the_second_time(
    api: ScriptedApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_events, "SILENCE_SECONDS", 0.1)
    api.script(ITS_EVENTS, Events(told=[], goes_on=True))
    api.script(THE_FILE, *(file("STORING", stored_bytes=n) for n in range(1, 5)), file("STORED"))
    shown = _shown(client.follow_storing(file("STORING")))  # type: ignore[arg-type]
    assert [moved for _, moved in shown[:5]] == [0, 1, 2, 3, 4]
    assert len(api.calls(ITS_EVENTS)) == file_events.SILENT_STREAMS


def test_record_that_waits_is_looked_at_because_no_event_tells_why(api: ScriptedApi, client: Client) -> None:
    waiting = delivery("QUEUED", waiting={"code": "no_worker", "detail": "No worker answers."})
    api.script(THE_DELIVERY, waiting, delivery("DELIVERED"))
    shown = _shown(client.follow_delivery(file("STORED"), delivery("QUEUED")))  # type: ignore[arg-type]
    assert [state for state, _ in shown] == ["QUEUED", "QUEUED", "DELIVERED"]
    assert not api.calls(ITS_EVENTS)
