"""Asks targets for delivered objects, reads them where needed, and names their faults."""

from gridhaul.transfer.errors import NotAnObject
from gridhaul.transfer.findings import FindingCode
from gridhaul.transfer.model import Delivery, RemoteObject
from tasks.attempt import Meter
from tasks.runtime import Runtime

Fault = tuple[FindingCode, str]  # the code, and the fault in words


class RemoteObjects:
    """Looks at the objects of deliveries, once for deliveries of the same bytes to the same name."""

    def __init__(self, runtime: Runtime, meter: Meter, *, read_all: bool) -> None:
        self._targets = runtime.targets
        self._meter = meter
        self._read_all = read_all  # False: objects are read only where that is needed
        self._right: dict[tuple[str, str, str], RemoteObject] = {}
        self.read_bytes = 0

    async def look(self, delivery: Delivery) -> RemoteObject | None:
        """Return the object at the target; None if there is none.

        Raises OutcomeUnknown, and what else the target raises.
        """
        place = (delivery.target, name_of(delivery), delivery.sha256)
        found = self._right.get(place) or await self._ask(delivery)
        if found is not None and fault_of(delivery, found) is None:
            self._right[place] = found
        return found

    async def _ask(self, delivery: Delivery) -> RemoteObject | None:
        """Ask the target, and read the object if the target does not tell its digest and the check needs one.

        The object is also read if the target tells another length or digest, because the target may speak of another
        form of the object.
        """
        target = await self._targets.get(delivery.target)
        try:
            found = await target.find(name_of(delivery), length=delivery.length)
        except NotAnObject:
            return None
        enough = found is None or found.sha256 or not self._must_read(delivery)
        if enough and (found is None or fault_of(delivery, found) is None):
            return found
        return await self._read(delivery)

    def _must_read(self, delivery: Delivery) -> bool:
        """Return whether a digest must be known. An object that was lost once is not right for its length alone."""
        return self._read_all or delivery.object_error is not None

    async def _read(self, delivery: Delivery) -> RemoteObject | None:
        target, before = await self._targets.get(delivery.target), self.read_bytes

        def checked(length_bytes: int) -> None:
            self.read_bytes = self._meter.checked = before + length_bytes

        name = name_of(delivery)
        return await target.read_back(name, length=delivery.length, sha256=delivery.sha256, checked=checked)


def name_of(delivery: Delivery) -> str:
    """Return the name that the delivery's object has at its target."""
    return delivery.final_name or delivery.object_name


def fault_of(delivery: Delivery, found: RemoteObject | None) -> Fault | None:
    """Return the fault of the object that was found, or None if what is known of it is right."""
    if found is None:
        return FindingCode.OBJECT_MISSING, "No object is under the name."
    if found.length != delivery.length:
        return FindingCode.OBJECT_DIFFERS, f"It has {found.length} bytes instead of {delivery.length}."
    if found.sha256 and found.sha256 != delivery.sha256:
        return FindingCode.OBJECT_DIFFERS, "It has another SHA-256."
    return None
