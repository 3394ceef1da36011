"""The places of all tests of this package: their servers start when a test first asks for them."""

from collections.abc import Iterator

import pytest

from tests.folders import NewFolder
from tests.targets.servers import Places, places


@pytest.fixture(scope="session")
def running(new_folder: NewFolder) -> Iterator[Places]:
    with new_folder("places") as folder, places(folder) as found:
        yield found
