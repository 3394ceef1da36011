"""Places of every kind that has stages, and targets that write to one place as several processes do."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path

from tests.targets import servers
from tests.targets.deliveries import StagingTarget
from tests.targets.place import Place
from tests.targets.servers import STAGED, Places

__all__ = ["KINDS", "S3", "NewTarget", "StagePlaces", "StagingTarget", "stage_places"]

KINDS = tuple(STAGED)
S3 = tuple(servers.S3)
NewTarget = Callable[[], AbstractAsyncContextManager[StagingTarget]]


class StagePlaces(Places):
    """Places, and makers of targets at them."""

    def new(self, kind: str) -> NewTarget:
        """Return a maker of targets that write to one new folder of a place of the kind. Each is like a new process."""
        place: Place = self[kind].inner()
        return place.target


@contextmanager
def stage_places(top: Path) -> Iterator[StagePlaces]:
    """Yield places of every kind. Their servers end at exit."""
    with ExitStack() as running:
        yield StagePlaces(top, running)
