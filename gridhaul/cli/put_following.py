"""Follows uploaded files until the server has stored them, and delivered them if that is wanted."""

from collections.abc import Iterator, Sequence

from gridhaul.cli import phases
from gridhaul.cli.bars import WORDS
from gridhaul.cli.exits import exit_of_failure
from gridhaul.cli.put_display import PutDisplay
from gridhaul.cli.put_files import Outcome
from gridhaul.client import Client, Transfer
from gridhaul.client.records import DeliveryRecord, FileRecord, known_length
from gridhaul.client.upload_errors import SourceChanged


def follow(client: Client, outcomes: Sequence[Outcome], targets: Sequence[str], display: PutDisplay) -> None:
    """Follow each file that was sent until it is stored and delivered, or has failed. Raises ClientError."""
    sent = [outcome for outcome in outcomes if outcome.sent]
    open_ones = [outcome for outcome in sent if outcome.file and outcome.file["state"] != "STORED"]
    storing = _Shown(display, open_ones)
    for outcome in open_ones:
        assert outcome.file is not None, "it was sent"  # noqa: S101
        outcome.file = storing.last(client.follow_storing(outcome.file)).file
    for outcome in sent:
        _judge_file(outcome)
    stored = [outcome for outcome in sent if not outcome.error]
    for target in targets:
        delivering = _Shown(display, stored)
        for outcome in stored:
            assert outcome.file is not None, "it was sent"  # noqa: S101
            transfer = delivering.last(client.follow(outcome.file["file_id"], target))
            _judge_delivery(outcome, transfer)


class _Shown:
    """Shows how far several files have come together, while they are followed one after the other."""

    def __init__(self, display: PutDisplay, outcomes: Sequence[Outcome]) -> None:
        self._display = display
        self._over_bytes = 0
        self._length_bytes = sum(known_length(outcome.file) for outcome in outcomes if outcome.file)

    def last(self, transfers: Iterator[Transfer]) -> Transfer:
        """Show the transfers of a file, and return the last one."""
        for transfer in transfers:
            word, done = _progress(transfer)
            self._display.follow(WORDS.get(word, word.lower()), self._over_bytes + done, self._length_bytes)
            if why := phases.reason(transfer):
                self._display.note("; ".join(filter(None, (why, phases.next_attempt(transfer)))))
        self._over_bytes += known_length(transfer.file)
        return transfer


def _progress(transfer: Transfer) -> tuple[str, int]:
    """Return a word for what the server does, and the bytes of this file that are done."""
    delivery, file = transfer.delivery, transfer.file
    if delivery is None:
        return "STORING", file["checked_bytes"] if file["state"] != "STORED" else phases.stored_bytes(file)
    if phases.reading_back(delivery):
        return "READING BACK", delivery["checked_bytes"]
    return "DELIVERING", phases.sent_bytes(delivery)


def _judge_file(outcome: Outcome) -> None:
    """Note the failure of a file that is not stored, or that has other bytes than were read here."""
    file, sent = outcome.file, outcome.sent
    assert file is not None, "it was sent"  # noqa: S101
    assert sent is not None, "it was sent"  # noqa: S101
    if file["state"] != "STORED":
        outcome.forget()
        _fail(outcome, file, f"gridhaul status {file['file_id']}")
        return
    try:
        sent.require_same(file)
    except SourceChanged as error:
        outcome.forget()
        outcome.fail(error.code, str(error), exit_of_failure(error.code))


def _judge_delivery(outcome: Outcome, transfer: Transfer) -> None:
    delivery = transfer.delivery
    if delivery is not None:
        outcome.deliveries.append(delivery)
    if delivery is None or delivery["state"] != "DELIVERED":
        record = delivery or transfer.file
        _fail(outcome, record, f"gridhaul retry {delivery['delivery_id'] if delivery else transfer.file['file_id']}")


def _fail(outcome: Outcome, record: FileRecord | DeliveryRecord, then: str) -> None:
    error = record["error"] or {"code": record["state"].lower(), "detail": f"It was {record['state'].lower()}."}
    outcome.fail(error["code"], f"{error['detail']} Then: {then}", exit_of_failure(error["code"]))
