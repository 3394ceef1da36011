"""Fixtures: folders at the SFTP servers that no other test has used, and targets there."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.servers.sshd import Keys
from tests.targets.places import SftpPlace
from tests.targets.servers import SFTP, Places
from tests.targets.sftp.targets import Targets


@pytest.fixture(scope="session")
def keys(running: Places) -> Keys:
    """Return the keys of the sshd and its user, which further servers have, too."""
    found: Keys = running["sshd"].keys
    return found


@pytest.fixture(params=SFTP)
def place(request: pytest.FixtureRequest, running: Places) -> SftpPlace:
    """Return a new folder at a server."""
    found: SftpPlace = running[request.param].inner()
    return found


@pytest.fixture
def sshd_place(running: Places) -> SftpPlace:
    """Return a new folder at the sshd."""
    found: SftpPlace = running["sshd"].inner()
    return found


@pytest.fixture
async def targets() -> AsyncIterator[Targets]:
    """Yield a maker of targets, which are closed at the end."""
    async with AsyncExitStack() as made:
        yield Targets(made)
