"""Deliveries to an S3 server that makes the object of one part too few, and does not say so. The server is real."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import httpx2
import pytest

from gridhaul.targets.s3 import part_sizes
from gridhaul.targets.s3.signing import S3Auth
from gridhaul.transfer.model import CheckedWhen, Delivery, Evidence
from gridhaul.transfer.states import DeliveryState
from tasks.delivering import sent_object
from tests.contracts import lies_of_s3
from tests.contracts.lies import ALWAYS, NAME
from tests.contracts.lies_of_s3 import PARTS, UPLOAD
from tests.contracts.lying_journeys import configured
from tests.contracts.lying_places import LyingPlace, lying
from tests.folders import NewFolder
from tests.servers.disturbances import Answer, Asked, Change, Instead
from tests.servers.lying_s3 import CHECKSUM, HOP_BY_HOP, error
from tests.targets.place import TARGET
from tests.targets.servers import S3, Places, places
from tests.tasks.delivery_bench import Bench, code_of

Told = Callable[[httpx2.Response], Answer]
OTHER = "A" * 43 + "=-4"  # the composite SHA-256 of some other object


@pytest.fixture(scope="module")
def running(new_folder: NewFolder) -> Iterator[Places]:
    with new_folder("incomplete") as folder, places(folder, {"seaweedfs": S3["seaweedfs"]}) as found:
        yield found


@pytest.fixture
async def there(running: Places, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LyingPlace]:
    """Let the bench deliver to a server with a liar between, which a probe has seen being honest."""
    monkeypatch.setattr(sent_object, "SHOWN_LATE_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(part_sizes, "PART_LEAST_BYTES", lies_of_s3.PART_BYTES)
    async with lying(running["seaweedfs"].inner()) as there, configured(bench, there.place, probed=True):
        yield there


def leave_out_a_part(there: LyingPlace, told: Told) -> None:
    """Plan that the server completes the next upload without its last part. `told` makes the answer of its answer."""
    server = there.place.server  # type: ignore[attr-defined]
    url = "http://{}:{}".format(*there.proxy.upstream)
    auth = S3Auth(
        access_key_id=server.access_key_id,
        secret_access_key=server.secret_access_key,
        session_token=None,
        region="us-east-1",
    )

    def complete(asked: Asked) -> Answer:
        body = re.sub(rb"(.*)<Part>.*?</Part>", rb"\1", asked.body, flags=re.DOTALL)
        headers = {name: text for name, text in asked.headers.items() if name in ("content-type", "if-none-match")}
        with httpx2.Client() as client:
            return told(client.post(f"{url}{asked.target}", headers=headers, content=body, auth=auth))

    there.proxy.plan(Instead(answer=complete), method="POST", part_of_target=UPLOAD)


def with_checksum(element: bytes) -> Told:
    """Return the change of the answer to Complete that puts this in the place of its checksum."""

    def told(answer: httpx2.Response) -> Answer:
        headers = {name: text for name, text in answer.headers.items() if name not in HOP_BY_HOP}
        body = re.sub(rb"<ChecksumSHA256>.*?</ChecksumSHA256>", element, answer.content)
        return Answer(status=answer.status_code, headers=headers, body=body)

    return told


def lost(_: httpx2.Response) -> Answer:
    return Answer(status=502)


def tell_no_digest(there: LyingPlace) -> None:
    """Plan that the server tells the digest of no object any more."""

    def bare(answer: Answer) -> Answer:
        headers = {name: text for name, text in answer.headers.items() if name != CHECKSUM}
        return replace(answer, headers=headers)

    there.proxy.plan(Change(change=bare), method="HEAD", part_of_target=NAME, times=ALWAYS)


def state_of(delivery: Delivery) -> tuple[DeliveryState, str | None]:
    return delivery.state, code_of(delivery)


async def delivered_with_digests(there: LyingPlace, bench: Bench, delivery: Delivery) -> None:
    delivery = await bench.attempt(delivery)
    assert delivery.receipt is not None, delivery.error
    assert there.place.outside.read(NAME) == PARTS


@pytest.mark.parametrize("tells_digests", [True, False])
async def test_mark_alone_is_no_proof_after_a_lost_answer(there: LyingPlace, bench: Bench, tells_digests: bool) -> None:
    leave_out_a_part(there, lost)
    if not tells_digests:
        tell_no_digest(there)
    waiting = await bench.deliver(PARTS, TARGET)
    assert state_of(waiting) == (DeliveryState.QUEUED, "target_unavailable")
    again = await bench.attempt(waiting)
    assert state_of(again) == (DeliveryState.QUEUED, "target_inconsistent")
    assert there.place.outside.read(NAME) is None
    there.be_honest()
    await delivered_with_digests(there, bench, again)


async def test_object_whose_digest_is_not_told_is_read_and_removed(there: LyingPlace, bench: Bench) -> None:
    leave_out_a_part(there, with_checksum(b""))
    tell_no_digest(there)
    failed = await bench.deliver(PARTS, TARGET)
    assert state_of(failed) == (DeliveryState.FAILED, "target_mismatch")
    assert there.place.outside.read(NAME) is None


async def test_wrong_object_that_could_not_be_removed_is_cleaned(there: LyingPlace, bench: Bench) -> None:
    leave_out_a_part(there, with_checksum(f"<ChecksumSHA256>{OTHER}</ChecksumSHA256>".encode()))
    there.proxy.plan(error("InternalError", status=500), method="DELETE", part_of_target=NAME)
    failed = await bench.deliver(PARTS, TARGET)
    assert state_of(failed) == (DeliveryState.FAILED, "target_mismatch")
    assert there.place.outside.read(NAME) is not None
    assert (failed.final_touched, NAME in failed.leftovers) == (True, True)
    bench.row.next_attempt_at = 0.0
    cleaned = await bench.clean(failed)
    assert (cleaned.leftovers, cleaned.final_touched, cleaned.cleaning_error) == ((), False, None)
    assert there.place.outside.read(NAME) is None


async def test_whole_object_whose_digest_is_not_told_is_read(there: LyingPlace, bench: Bench) -> None:
    def bare(answer: Answer) -> Answer:
        body = re.sub(rb"<ChecksumSHA256>.*?</ChecksumSHA256>", b"", answer.body)
        return Answer(status=answer.status, headers={"content-type": "application/xml"}, body=body)

    there.proxy.plan(Change(change=bare), method="POST", part_of_target=UPLOAD)
    tell_no_digest(there)
    delivered = await bench.deliver(PARTS, TARGET)
    assert delivered.receipt is not None, delivered.error
    assert (delivered.receipt.evidence, delivered.receipt.checked) == (
        Evidence.READ_BACK,
        CheckedWhen.AFTER_COMMIT,
    )
    assert delivered.leftovers == ()
    assert there.place.outside.read(NAME) == PARTS
