"""The facts of an SFTP server, as its probe sees them, and the abilities that follow from them."""

from dataclasses import asdict
from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.ports.targets import Facts

SHA256 = "sha-256"
NameRequest = Literal["link", "rename", "none"]
ReplaceRequest = Literal["posix-rename", "rename", "remove"]


class SftpFacts(BaseModel):
    """The facts that a probe saw of a server."""

    model_config = ConfigDict(strict=True, frozen=True)

    server: str  # the server's identification (RFC 4253, 4.2): another server needs another probe
    write_bytes: PositiveInt  # the most that the server takes in one request
    read_bytes: PositiveInt  # the most that the server gives in one answer
    writes_inside: bool  # bytes can be written to positions of an object that is there, and the others stay
    opens_new: bool  # the server refuses to make a file under a name that is taken, if it is asked to (EXCL)
    naming: NameRequest  # the request that gives an object a new name, and refuses a name that is taken
    replacing: ReplaceRequest  # the request that replaces an object in one step; "remove": there is none
    syncs: bool  # the server flushes a file to its disk
    syncs_folders: bool  # the server flushes a folder, too, so that a new name is on the disk
    tells_room: bool
    hashes: bool  # the server's command sha256sum told the digests of two objects
    lost: list[str]  # labels of the oddities that the server does not keep in names

    @property
    def abilities(self) -> Abilities:
        return Abilities(
            atomic=self.replacing != "remove",
            exclusive=self.naming != "none",
            durable=self.syncs and self.syncs_folders,
            resumable=self.writes_inside,
            digest=SHA256 if self.hashes else None,
            free_space=self.tells_room,
        )

    def as_facts(self) -> Facts:
        return {**self.model_dump(), **asdict(self.abilities)}


def facts_of(facts: Facts) -> SftpFacts | None:
    """Return the facts; None if they have another form, because they are older or damaged."""
    try:
        return SftpFacts.model_validate(facts)
    except ValidationError:
        return None
