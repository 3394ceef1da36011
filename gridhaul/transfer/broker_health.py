"""Judges by what lies in Redis whether hints can be given, and whether a message of another system lies there. Pure."""

from dataclasses import dataclass

from gridhaul.transfer.errors import BrokerKeyTaken, ForeignMessages, GridhaulError
from gridhaul.transfer.model import Queue

FOREIGN_KEY = "gridhaul:foreign"  # the list in Redis that keeps the messages of other systems


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerContents:
    """The keys and messages in Redis that are not Gridhaul's."""

    taken: frozenset[Queue]  # the queues whose keys hold a value of another type than a list
    foreign_messages: int  # how many messages of other systems workers have moved to FOREIGN_KEY


def queue_obstacle(contents: BrokerContents, queue: Queue) -> BrokerKeyTaken | None:
    """Return the error if the queue's key is taken, so that no hint of the queue can be given or taken."""
    return _taken(frozenset({queue})) if queue in contents.taken else None


def contents_error(contents: BrokerContents) -> GridhaulError | None:
    """Return the error that names what an operator must look at in Redis, or None."""
    if contents.taken:
        return _taken(contents.taken)
    if contents.foreign_messages:
        return ForeignMessages(
            f"Workers found {contents.foreign_messages} messages of another system in their queues and moved them to "
            f"the list `{FOREIGN_KEY}` in Redis. Give Gridhaul a Redis database of its own; then move the messages to "
            "where they belong, or delete the list."
        )
    return None


def _taken(queues: frozenset[Queue]) -> BrokerKeyTaken:
    keys = ", ".join(f"`{queue}`" for queue in sorted(queues))
    return BrokerKeyTaken(
        f"Keys in Redis that Gridhaul needs as lists hold something else: {keys}. Workers learn of no new "
        "work in these queues. Rename or delete these keys, or give Gridhaul a Redis database of its own."
    )
