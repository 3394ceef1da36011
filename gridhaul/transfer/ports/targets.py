"""Remote places that objects are delivered to.

Names of objects are relative, with `/` between parts. All methods raise TargetUnavailable, after which the same call
may succeed later, and TargetRefused, after which it will not.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.known_targets import TargetDefinition, TargetRecord, TargetState
from gridhaul.transfer.model import Evidence, FolderEntry, RemoteObject, SeenTarget, Stage
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.leasing import LeasedRecords

Leaving = Callable[[int], None]  # called with the number of bytes that are about to leave; raises if they must not
Checked = Callable[[int], None]  # called with the number of bytes that a reading has read so far


class Blocks(Protocol):
    """Blocks of bytes for the thread that sends them. Other threads may make the next ones meanwhile."""

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the blocks in order. Only one iteration is possible."""

    def stop(self) -> None:
        """Make a thread that waits for the next block fail at once. Any thread may call this."""


class RepeatableBlocks(Blocks, Protocol):
    """Blocks whose bytes can be read again, also in another thread beside the iteration."""

    def again(self, start: int, length: int) -> Iterator[bytes]:
        """Return `length` of these bytes in blocks, from the byte `start` on; the first block of the iteration is at 0.

        The reading begins when the first block is asked for. `stop` ends it, too.
        """


class Target(Protocol):
    name: str

    @property
    def abilities(self) -> Abilities:
        """Return what was seen of the target. What was not seen yet is not promised."""

    def location(self, name: str) -> str:
        """Return the object's place, as a URL or path without credentials."""

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        """Return what the target tells of the object under the name, without reading it; None if there is none.

        The target may first have to hash the object, which is expected to have `length` bytes. What it tells need not
        be right: a server may speak of another form of the object.
        Raises NotAnObject if a folder has the name, and OutcomeUnknown if the target cannot tell.
        """

    async def read_back(self, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
        """Read the object, and return the length and SHA-256 of what was read; None if there is no object.

        The event loop's thread calls `checked` whenever more bytes were read, the last time with the length.
        If there are more than the expected `length` bytes, reading may stop there, and the digest is "".
        Raises OutcomeUnknown if the target does not give its bytes back, or only in a content coding whose length or
        SHA-256 is not the expected one.
        """

    async def remove(self, name: str) -> None:
        """Remove the object, if it exists. Raises TargetLocked while a request to the object is under way."""

    async def close(self) -> None:
        """Close the target's connections."""


@runtime_checkable
class DirectPut(Protocol):
    """The further ability of targets that have no stages: each object is written straight to its final name."""

    async def put(self, name: str, blocks: Blocks, *, length: int, leaving: Leaving) -> None:
        """Write the object from blocks of `length` bytes in all. One thread takes each block and sends it.

        That thread calls `leaving` right before bytes leave this process: first with 0, before anything is done to the
        object, then with the length of each block, which may have been made long before. If the request is repeated,
        `leaving` is called with 0 for the repeated bytes, so the lengths add up to `length`. An exception of `leaving`
        or of `blocks` passes through unchanged, and nothing more leaves. When cancelled, this stops the blocks.
        """


Confirmed = Callable[[Stage], Awaitable[None]]  # gets the stage once the target has confirmed more of it


@runtime_checkable
class Staging(Protocol):
    """The further ability to write an object where no reader sees it, and to show it whole under its final name.

    A stage is a temporary object (`Stage.name`), or a multipart upload (`Stage.upload_id`), which has no name until its
    commit. Several workers may write to one stage at once, if one of them stood still: each writes the verified bytes
    of one content to their own positions, so no write can put a wrong byte there. Nothing is appended or truncated.
    """

    # True: deliveries that must not replace an object are made although the target is not `exclusive`. `commit` looks
    # at the final name right before it gives the name then.
    allow_overwrite_race: bool

    async def begin(self, stage: Stage) -> Stage:
        """Begin the stage, and return it with what `write` needs. Writes no byte of the object.

        A call that is lost may leave something of the stage at the target, which `abandon` removes, or `gc`.
        """

    async def resume(self, stage: Stage) -> Stage | None:
        """Return the stage with the offset up to which the target certainly holds what was written.

        Return None if the stage cannot be continued: it is gone, or this target cannot write from an offset on. A stage
        that is whole (`offset == length`) can be checked and committed by every target.
        """

    async def write(
        self,
        stage: Stage,
        blocks: RepeatableBlocks,
        *,
        leaving: Leaving,
        confirmed: Confirmed,
        attributes: Attributes | None = None,
    ) -> Stage:
        """Write the object's bytes from `stage.offset` to the end, and return the whole stage.

        One thread takes each block. `leaving` is called right before bytes leave this process: first with 0, before
        anything is done to the stage, then with the length of each block, which may have been made long before. If a
        request is repeated, `leaving` is called with 0 for the repeated bytes, so the lengths add up to what was to be
        written. An exception of `leaving`, `blocks` or `confirmed` passes through unchanged, and nothing more leaves.
        When cancelled, this stops the blocks. The object gets those of the attributes that the target keeps.
        Raises NotFound if the stage is gone.
        """

    async def proof(self, stage: Stage) -> Evidence | None:
        """Return how the target itself has proved each byte of a whole stage; None if it has not.

        Then the object is read back: under `Stage.name`, or after the commit if the stage has no name.
        """

    async def commit(self, stage: Stage) -> None:
        """Give the whole object its final name, unless the name is taken.

        Raises ObjectExists, and NotFound if the stage is gone: then the object may have its final name already.
        Raises TargetMismatch if the object has its final name, but the target tells other digests than those of its
        `proof`, or none.
        A target that is not `exclusive` replaces an object that takes the name in the last moment.
        """

    async def replace(self, stage: Stage) -> None:
        """Give the whole object its final name, and replace the object that has the name.

        Raises NotFound if the stage is gone, NotAnObject if a folder has the final name, and TargetMismatch as `commit`
        does.
        """

    async def abandon(self, stage: Stage) -> None:
        """Remove the stage, if it is there. Raises TargetLocked while a request to it is under way."""


@runtime_checkable
class Tagging(Protocol):
    """The further ability to tell a tag by which an object is recognised after its commit."""

    async def tag(self, name: str) -> str | None:
        """Return a tag that the object keeps when it is renamed, and that objects written at other times do not have.

        Return None if there is no object, or no such tag.
        """


@runtime_checkable
class TellsDigests(Protocol):
    """The further ability to compare a committed object with its stage without reading the object."""

    async def is_made_of(self, stage: Stage) -> bool:
        """Return whether the target tells the whole stage's length and digests of the object with its final name.

        Return False also if it does not tell them, or not to these credentials, and if there is no such object.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class UnfinishedUpload:
    """A multipart upload that was neither completed nor aborted."""

    name: str  # the final name of its object
    upload_id: str
    age_seconds: float | None  # since it was begun, by the target's own clock; None: the target does not tell


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadsPage:
    """A page of a listing of uploads. The whole listing may be longer than fits into memory."""

    uploads: Sequence[UnfinishedUpload]
    following: str  # what the target needs to know to list the next page; "": this is the last page


@runtime_checkable
class KeepsUploads(Protocol):
    """The further ability of targets whose stages are multipart uploads, which stay there until somebody ends them."""

    async def unfinished(self, beginning: str = "", *, after: str = "") -> UploadsPage:
        """Return a page of the unfinished uploads, of anybody, of objects whose names begin like this.

        The first page comes after "", each other page after the `following` of the page before it. Raises
        OutcomeUnknown if the target does not list uploads, or not to these credentials.
        """

    async def abort(self, upload: UnfinishedUpload) -> bool:
        """End the upload without an object, and without parts that arrive late. Return False if it is not there.

        Raises TargetLocked if parts go on arriving.
        """


@runtime_checkable
class KeepsAttributes(Protocol):
    """The further ability of targets whose objects can have attributes of their sources.

    `Staging.write` leaves out an attribute that the target does not keep, which is no error.
    """

    async def attributes(self, name: str) -> Attributes | None:
        """Return the attributes that the object has; None if there is no object."""


@runtime_checkable
class Listing(Protocol):
    """The further ability of targets that can list a folder."""

    def names(self, folder: str) -> AsyncGenerator[str]:
        """Yield the names of the entries in the folder ("" is the top). Yield nothing if there is no such folder.

        Raises OutcomeUnknown if this target cannot list folders, though others of its kind can.
        """


@runtime_checkable
class LooksTogether(Protocol):
    """The further ability of targets that can look at many names at once, and rename without a look of their own."""

    async def entries(self, folder: str, *, at_most: int) -> Mapping[str, FolderEntry] | None:
        """Return the folder's entries by their names in it ("" is the top); none if there is no such folder.

        Return None if this target cannot list folders, or if the folder has more than `at_most` entries: then it is
        cheaper to look at single names. Names may be missing that this target never lists, such as hidden ones.
        """

    async def commit_unseen(self, stage: Stage) -> None:
        """Commit as `Staging.commit` does, for a caller that has seen that nothing stands under the final name.

        An object that has the name by now still raises ObjectExists. Where a folder has the name by now, some servers
        put the object into the folder.
        """


@runtime_checkable
class TellsRoom(Protocol):
    """The further ability of targets that tell how much they can still take."""

    async def free_bytes(self) -> int | None:
        """Return the bytes that can still be written; None if the target does not tell. Raises the target errors."""


BeforeWriting = Callable[[], Awaitable[None]]
Facts = Mapping[str, Any]  # what was seen of a target: values for MongoDB, which only the kind of target reads


@runtime_checkable
class Probed(Protocol):
    """The further ability of targets that must be probed before the first byte is sent to them.

    What the probe saw is kept in the database, for all workers, under `fingerprint`. No other method may be called
    before `rely_on`.
    """

    name: str
    fingerprint: str  # `Section.fingerprint`: of the parts of the configuration that decide what the probe sees
    facts_last_seconds: float  # the age at which the facts are too old to begin a delivery
    facts_outdated: (
        bool  # True: the target did what its facts exclude; itself or a journey sets this, a probe resets it
    )

    @property
    def abilities(self) -> Abilities:
        """Return what the facts tell, as `Target.abilities` does."""

    async def probe(self, scratch: str, before_writing: BeforeWriting) -> Facts:
        """Return what was seen of the target.

        The names that the probe writes begin with `scratch`, with which no other object's name begins. It awaits
        `before_writing` before it writes the first of them. After a success it has removed them all.
        Raises TargetRefused if the target cannot do what deliveries need.
        """

    async def clear(self, scratch: str) -> None:
        """Remove what a probe with this scratch, which was killed, may have left."""

    def rely_on(self, facts: Facts) -> bool:
        """Use these facts from now on. Return False if they are no facts of such a target: then it must be probed."""


@runtime_checkable
class Fingerprinted(Protocol):
    """The further ability of targets whose record in the database can be found. Every configured target has it."""

    fingerprint: str  # `Section.fingerprint`


class SeenTargets(Protocol):
    """The facts that were seen of targets, in the database, as deliveries use them.

    Notes make the record of a fingerprint if there is none. All methods raise DatabaseUnavailable.
    """

    async def find(self, fingerprint: str) -> SeenTarget | None:
        """Return what was seen of the target with the fingerprint; None if it was never seen."""

    async def note_first(
        self, fingerprint: str, name: str, facts: Facts, *, abilities: Abilities, last_seconds: float
    ) -> Facts:
        """Keep the facts unless there are facts under the fingerprint already. Return the facts that are kept.

        The facts are too old to begin a delivery after `last_seconds`. Unless a probe is under way, was asked for, or
        has left something, the next one is due then.
        """

    async def note(
        self, fingerprint: str, name: str, facts: Facts, *, abilities: Abilities, last_seconds: float
    ) -> None:
        """Do what `note_first` does, but keep the facts in place of the earlier ones."""

    async def outdate(self, fingerprint: str) -> None:
        """Make the facts, if there are any, older than any age at which a probe is due. A probe is due now."""


class ProbedTargets(SeenTargets, LeasedRecords[TargetRecord, TargetState], Protocol):
    """The records of targets as a worker sees them that probes: it claims one, notes what it sees, and releases it.

    An end with the field `error`, which is None after a success, sets `tried_at`. The error stays until the next end.
    """


class TargetRegistry(Protocol):
    """The records of targets as the api sees them. All methods raise DatabaseUnavailable."""

    async def configure(self, targets: Sequence[TargetDefinition]) -> None:
        """Make the records of these targets that are missing; a probe of each of them is due now.

        No worker probes the targets of other records any more. Their records stay, and come back with their targets.
        """

    async def of(self, fingerprints: Collection[str]) -> Mapping[str, TargetRecord]:
        """Return the records by their fingerprints. Those that do not exist are left out."""

    async def test(self, target: TargetDefinition) -> TargetRecord:
        """Make a probe due now and return the record, whose `tried_at` is None until that probe has ended.

        The record is made if it is missing. The caller sends the hint.
        """


class Targets(Protocol):
    """The configured targets."""

    def get(self, name: str) -> Target:
        """Return the target. Raises TargetUnknown."""
