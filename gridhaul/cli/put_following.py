"""Follows uploaded files until the server has stored them, and delivered them if that is wanted."""

from collections.abc import Sequence

from gridhaul.cli import phases
from gridhaul.cli.bars import WORDS
from gridhaul.cli.exits import exit_of_failure
from gridhaul.cli.put_display import PutDisplay
from gridhaul.cli.put_files import Outcome
from gridhaul.client import Client, Transfer
from gridhaul.client.records import known_length
from gridhaul.client.upload_errors import SourceChanged


def follow(client: Client, outcomes: Sequence[Outcome], targets: Sequence[str], display: PutDisplay) -> None:
    """Follow each file that was sent until it is stored and delivered, or has failed. Raises ClientError."""
    sent = [outcome for outcome in outcomes if outcome.sent]
    following = _Following(client, display, sum(outcome.local.length_bytes for outcome in sent))
    for outcome in sent:
        following.store(outcome)
    for target in targets:
        following.begin()
        for outcome in sent:
            if outcome.file and outcome.file["state"] == "STORED":
                following.deliver(outcome, target)


class _Following:
    def __init__(self, client: Client, display: PutDisplay, length_bytes: int) -> None:
        self._client = client
        self._display = display
        self._length_bytes = length_bytes
        self.begin()

    def begin(self) -> None:
        self._over_bytes = 0  # of the files that were followed to their end

    def store(self, outcome: Outcome) -> None:
        """Follow the file until it is STORED or will never be. The note of its upload is kept while it is open."""
        assert outcome.sent is not None, "only files that were sent are followed"  # noqa: S101
        for transfer in self._client.follow_storing(outcome.sent.file):
            outcome.file = transfer.file
            if transfer.file["state"] != "STORED" or self._over_bytes or transfer.file is not outcome.sent.file:
                self._show(transfer, phases.storing(transfer.file), phases.checked_or_stored_bytes(transfer.file))
        self._over_bytes += outcome.local.length_bytes
        _judge_file(outcome)

    def deliver(self, outcome: Outcome, target: str) -> None:
        assert outcome.file is not None, "only stored files are delivered"  # noqa: S101
        for transfer in self._client.follow(outcome.file["file_id"], target):
            done = phases.sent_bytes(transfer.delivery) if transfer.delivery else 0
            word = phases.delivering(transfer.delivery) if transfer.delivery else "QUEUED"
            self._show(transfer, word, done)
        self._over_bytes += outcome.local.length_bytes
        if transfer.delivery:
            outcome.deliveries.append(transfer.delivery)
