"""Remote places that objects are delivered to.

Names of objects are relative, with `/` between parts. All methods raise TargetUnavailable, after which the same call
may succeed later, and TargetRefused, after which it will not.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Protocol, runtime_checkable

from gridhaul.transfer.model import RemoteObject

Leaving = Callable[[int], None]  # called with the number of bytes that are about to leave; raises if they must not


class Blocks(Protocol):
    """Blocks of bytes for the thread that sends them. Other threads may make the next ones meanwhile."""

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the blocks in order. Only one iteration is possible."""

    def stop(self) -> None:
        """Make a thread that waits for the next block fail at once. Any thread may call this."""


class Target(Protocol):
    name: str

    def location(self, name: str) -> str:
        """Return the object's place, as a URL or path without credentials."""

    async def inspect(self, name: str, *, length: int) -> RemoteObject | None:
        """Return what the target holds under the name, or None. The digest is the remote's, or comes from reading back.

        An object of another length than `length` need not be read: its digest may be "".
        Raises OutcomeUnknown if the target cannot tell.
        """

    async def put(self, name: str, blocks: Blocks, *, length: int, leaving: Leaving) -> None:
        """Write the object from blocks of `length` bytes in all. One thread takes each block and sends it.

        That thread calls `leaving` right before bytes leave this process: first with 0, before anything is done to the
        object, then with the length of each block, which may have been made long before. An exception of `leaving` or
        of `blocks` passes through unchanged, and nothing more leaves. When cancelled, this stops the blocks.
        """

    async def remove(self, name: str) -> None:
        """Remove the object, if it exists. Raises TargetLocked while a request to the object is under way."""

    async def close(self) -> None:
        """Close the target's connections."""


@runtime_checkable
class AtomicCommit(Protocol):
    """The further ability of targets that can move a whole object to its final name at once."""

    async def commit(self, temporary_name: str, final_name: str) -> None:
        """Rename the object, unless the final name is taken.

        Raises ObjectExists, and NotFound if the temporary object does not exist.
        """

    async def replace(self, temporary_name: str, final_name: str) -> None:
        """Rename the object over whatever has the final name.

        Raises NotFound if the temporary object does not exist.
        """


@runtime_checkable
class Listing(Protocol):
    """The further ability of targets that can list a folder."""

    def names(self, folder: str) -> AsyncGenerator[str]:
        """Yield the names of the entries in the folder ("" is the top). Yield nothing if there is no such folder."""


class Targets(Protocol):
    """The configured targets."""

    def get(self, name: str) -> Target:
        """Return the target. Raises TargetUnknown."""
