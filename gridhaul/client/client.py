"""The client: register a file of the server and follow its delivery; operate and check files and deliveries."""

import ssl
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

from gridhaul.client.accounts import Accounts, Keys
from gridhaul.client.batches import Batches
from gridhaul.client.connection import Connection, RetryBudget
from gridhaul.client.downloads import Downloads
from gridhaul.client.errors import ClientError
from gridhaul.client.filters import NO_FILTERS, ListFilters
from gridhaul.client.following import Following
from gridhaul.client.news import News, news
from gridhaul.client.polling import Pauses
from gridhaul.client.records import CHECK_OVER, CheckOrder, CheckRecord, DeliveryRecord, FileRecord
from gridhaul.client.targets import Targets
from gridhaul.client.uploads import Uploads
from gridhaul.transfer.model import IfExists
from gridhaul.transfer.origins import IfChanged
from gridhaul.transfer.states import Action


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliverTo:
    """Where to deliver a file. Without `object_name`, the object gets the name of the file."""

    target: str
    object_name: str | None
    if_exists: IfExists


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A file to send. `path` is absolute, on the server. `further` destinations get the file beside `destination`."""

    path: str
    destination: DeliverTo
    if_changed: IfChanged
    further: tuple[DeliverTo, ...] = ()


class Client(Following):
    """A client of the api, used as a context manager.

    `batches`, `downloads`, `uploads`, `targets`, `accounts` and `keys` hold the requests about these.

    The client retries a request that gets no answer, or 429, 502, 503 or 504, for `patience_seconds`; `on_retry`
    receives the error before each retry. Requests that are not safe to repeat say so, and are retried only while the
    api has certainly not carried them out.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        patience_seconds: float,
        on_retry: Callable[[ClientError], None],
        tls: ssl.SSLContext | None = None,
        current_password: str | None = None,
    ) -> None:
        """Make a client. Without `tls`, the client trusts the system's certificate authorities.

        An access token needs `current_password`, its account's password, for requests that give lasting access: new
        keys, and some changes of accounts. Raises ValueError if the URL or the token is malformed.
        """
        budget = RetryBudget(seconds=patience_seconds, on_retry=on_retry)
        super().__init__(Connection(url, token, budget, tls=tls))
        self.batches = Batches(self._connection)
        self.downloads = Downloads(self._connection)
        self.uploads = Uploads(self._connection)
        self.targets = Targets(self._connection)
        self.accounts = Accounts(self._connection, current_password)
        self.keys = Keys(self._connection, current_password)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.__exit__(kind, error, trace)

    def prepare(self, order: Order) -> FileRecord:
        """Register a file of the server and its deliveries to the targets."""
        first, *further = map(_wanted, (order.destination, *order.further))
        deliver_to = [first, *further] if further else first
        body = {"file_path": order.path, "deliver_to": deliver_to, "if_changed": order.if_changed.value}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return cast(FileRecord, self._connection.post("/upload/prepare", body, headers=headers))

    def files(self, *, states: Collection[str], limit: int, filters: ListFilters = NO_FILTERS) -> list[FileRecord]:
        """Return the first files of the list in one of the states, up to `limit`; no states mean every state."""
        wanted = self._connection.listed("files", limit=limit, state=sorted(states), **filters.params)
        return cast(list[FileRecord], wanted)

    def all_deliveries(
        self, *, states: Collection[str], limit: int, filters: ListFilters = NO_FILTERS
    ) -> list[DeliveryRecord]:
        """Return the first deliveries of the list in one of the states, up to `limit`; no states mean every state."""
        wanted = self._connection.listed("deliveries", limit=limit, state=sorted(states), **filters.params)
        return cast(list[DeliveryRecord], wanted)

    def lost_deliveries(self, *, limit: int, filters: ListFilters = NO_FILTERS) -> list[DeliveryRecord]:
        """Return the newest deliveries whose object a check found lost, up to `limit`. Of filters, `owner` counts."""
        params = {"owner": filters.owner} if filters.owner else {}
        return cast(list[DeliveryRecord], self._connection.listed("deliveries", limit=limit, lost="true", **params))

    def operate_file(self, file_id: str, action: Action) -> FileRecord:
        """Cancel, pause, resume or retry the file. A repeated request has the same answer."""
        return cast(FileRecord, self._connection.post(f"/files/{file_id}/{action}"))

    def operate_delivery(self, delivery_id: str, action: Action) -> DeliveryRecord:
        """Cancel, pause, resume or retry the delivery. A repeated request has the same answer."""
        return cast(DeliveryRecord, self._connection.post(f"/deliveries/{delivery_id}/{action}"))

    def delete_file(self, file_id: str) -> FileRecord:
        """Delete a file that is neither being stored nor delivered. A repeated request has the same answer."""
        return cast(FileRecord, self._connection.delete(f"/files/{file_id}"))

    def cancel_and_delete_file(self, file_id: str) -> FileRecord:
        """Cancel the file and its deliveries, and delete the file. A repeated request has the same answer."""
        return cast(FileRecord, self._connection.delete(f"/files/{file_id}", cancel="true"))

    def deliver(self, file: FileRecord, destination: DeliverTo) -> DeliveryRecord:
        """Deliver a stored file to the destination. A repeated request has the same answer."""
        headers = {"content-sha256": file["digests"]["sha-256"]}
        path = f"/upload/{file['file_id']}/finalize"
        return cast(DeliveryRecord, self._connection.post(path, _wanted(destination), headers=headers))

    def news(self, file_id: str | None = None) -> Iterator[News]:
        """Yield what changes from now on, without end: of the file and its deliveries, or of all the account's records.

        Of a file, the records as they are now come first.
        """
        return news(self._connection, file_id)

    def start_check(self, order: CheckOrder) -> CheckRecord:
        """Start the check, unless an equal check is open. Return the new or the open check."""
        wanted = {"kind": order.kind, "mode": order.mode, "id": order.record_id, "read_targets": order.read_targets}
        body = {**wanted, "bytes_per_second": order.bytes_per_second}
        return cast(CheckRecord, self._connection.post("/checks", body))

    def check(self, check_id: str) -> CheckRecord:
        return cast(CheckRecord, self._connection.get(f"/checks/{check_id}"))

    def checks(self, *, limit: int) -> list[CheckRecord]:
        """Return the newest checks, up to `limit`."""
        return cast(list[CheckRecord], self._connection.listed("checks", limit=limit))

    def cancel_check(self, check_id: str) -> CheckRecord:
        """Cancel the check. A repeated request has the same answer."""
        return cast(CheckRecord, self._connection.post(f"/checks/{check_id}/cancel"))

    def follow_check(self, check_id: str) -> Iterator[CheckRecord]:
        """Yield the check until it is over. The pauses between two looks are those of `polling.Pauses`."""
        pauses = Pauses()
        while True:
            check = self.check(check_id)
            yield check
            if check["state"] in CHECK_OVER:
                return
            time.sleep(pauses.after(f"{check['state']} {check['stage']}"))


def _wanted(destination: DeliverTo) -> dict[str, str]:
    wanted = {"target": destination.target, "if_exists": destination.if_exists.value}
    return wanted if destination.object_name is None else wanted | {"object_name": destination.object_name}
