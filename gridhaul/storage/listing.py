"""The condition of listings, which an index serves in the order of the listing."""

from collections.abc import Collection

from gridhaul.storage.connect import Document


def records_of(owner: str | None, states: Collection[str]) -> Document:
    """Return the condition for records of the owner, if there is one, in the states, if there are any."""
    theirs: Document = {} if owner is None else {"owner": owner}
    return theirs | ({"state": {"$in": sorted(states)}} if states else {})
