"""The abilities of a target as a worker has seen them, with small objects of its own. Its kind proves nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Abilities:
    """The promises that a target was seen to keep. A default promises nothing."""

    atomic: bool = False  # no reader sees a part of an object under its final name
    exclusive: bool = False  # a commit is refused if the final name is taken
    durable: bool = False  # what a commit has acknowledged is on the disk, as far as the target tells the truth
    resumable: bool = False  # a later attempt, in another process, goes on with what an earlier one has written
    digest: str | None = None  # the cryptographic digest in which the target refused a lie, such as "sha-256"
    free_space: bool = False  # the target tells how much it can still take
