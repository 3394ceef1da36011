"""The body of a request with bytes of a file: it arrives as the client sends it, and not too slowly."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from starlette.requests import ClientDisconnect

from api.uploads import body
from api.uploads.body import WINDOW_BYTES, WINDOW_SECONDS, declared_length, fast_enough, whole_number
from gridhaul.transfer.errors import Malformed, RequestTimeout
from tests.api.uploads.bodies import request_of


async def received(parts: list[bytes], *, end: str = "whole", stall_seconds: float = 30) -> list[bytes]:
    return [part async for part in fast_enough(request_of(parts, end=end), stall_seconds)]


async def test_parts_arrive_as_they_were_sent() -> None:
    assert await received([b"a", b"bc"]) == [b"a", b"bc"]
    assert await received([]) == []


async def test_client_that_goes_ends_the_body() -> None:
    with pytest.raises(ClientDisconnect):
        await received([b"a"], end="disconnects")


async def test_client_that_stalls_ends_the_body() -> None:
    with pytest.raises(RequestTimeout):
        await received([b"a"], end="stalls", stall_seconds=0.02)


async def test_client_that_trickles_ends_the_body_after_its_last_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "WINDOW_SECONDS", 0.0)  # each part ends a window
    taken = list[bytes]()
    with pytest.raises(RequestTimeout, match="too slowly"):  # noqa: PT012
        async for part in fast_enough(request_of([bytes(WINDOW_BYTES), bytes(WINDOW_BYTES - 1), b"x"]), 30):
            taken.append(part)
    assert list(map(len, taken)) == [WINDOW_BYTES, WINDOW_BYTES - 1]


async def test_client_that_sends_enough_in_each_window_may_send_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "WINDOW_SECONDS", 0.0)
    assert len(await received([bytes(WINDOW_BYTES)] * 100)) == 100


async def test_short_body_is_not_too_slow() -> None:
    assert await received([b"x"] * 10) == [b"x"] * 10


@pytest.mark.parametrize(("client_seconds", "is_too_slow"), [(0.0, False), (0.9, False), (1.1, True)])
async def test_only_the_time_that_the_client_needs_counts(
    monkeypatch: pytest.MonkeyPatch, client_seconds: float, is_too_slow: bool
) -> None:
    """Storing takes longer than a window here, and the client needs this part of a window for its two parts."""
    now = [0.0]
    monkeypatch.setattr(body, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def parts() -> Iterator[bytes]:
        for _ in range(2):
            now[0] += client_seconds * WINDOW_SECONDS / 2
            yield b"x"

    try:
        async for _ in fast_enough(request_of(parts()), 30):
            now[0] += 2 * WINDOW_SECONDS
    except RequestTimeout:
        assert is_too_slow
    else:
        assert not is_too_slow


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_number_of_bytes(text: str, number: int) -> None:
    assert whole_number("Upload-Offset", text) == number
    assert declared_length(request_of([], content_length=text)) == number


@pytest.mark.parametrize("text", ["", " ", "-1", "+1", "1.0", "1e3", "0x1", "1_0", "\xb2", "9" * 19, "9" * 5000])
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(Malformed, match="Upload-Offset"):
        whole_number("Upload-Offset", text)
    with pytest.raises(Malformed):
        declared_length(request_of([], content_length=text))


def test_chunked_body_declares_no_length() -> None:
    assert declared_length(request_of([])) is None
