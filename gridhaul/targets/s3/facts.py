"""The facts of an S3 server, as its probe returns them beside its abilities."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict, ValidationError

from gridhaul.targets.abilities import abilities_in
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import TargetRefused
from gridhaul.transfer.ports.targets import Facts


class S3Facts(BaseModel):
    """The facts of a server beside its abilities. The defaults are for a server of which nothing was seen."""

    model_config = ConfigDict(strict=True, frozen=True)

    etag_is_md5: bool = False  # the entity tag of a part is the MD5 of its bytes
    tells_sha256: bool = False  # the server tells the composite SHA-256 of an object in parts, and it was right
    keeps_names: bool = True  # the server keeps every character of a name
    takes_below_object: bool = True  # an object `a/b` can be written where an object `a` is
    takes_above_object: bool = True  # an object `a` can be written where an object `a/b` is
    tells_missing: bool = True  # the credentials may know that there is no object under a name
    readable: bool = True  # the credentials may read objects
    lists: bool = True  # the credentials may list objects


class Seen:
    """The abilities and facts that are relied on, as a probe saw them, and whether the server has refuted them."""

    def __init__(self) -> None:
        self.abilities = Abilities()
        self.facts = S3Facts()
        self.outdated = False  # True: the server did what the facts exclude

    def rely_on(self, facts: Facts) -> bool:
        """Do what `transfer.ports.targets.Probed.rely_on` says."""
        abilities, seen = abilities_in(facts), _facts_in(facts)
        if abilities is None or seen is None:
            return False
        self.abilities, self.facts = abilities, seen
        return True

    @contextmanager
    def outdated_if_refused(self) -> Iterator[None]:
        """Ask for a new probe if the server refuses what it did for the last one."""
        try:
            yield
        except TargetRefused:
            self.outdated = True
            raise


def _facts_in(facts: Facts) -> S3Facts | None:
    """Return the facts; None if they have another form."""
    try:
        return S3Facts.model_validate({name: facts[name] for name in S3Facts.model_fields})
    except (KeyError, TypeError, ValidationError):
        return None
