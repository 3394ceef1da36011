"""Fixtures: prefixes at the S3 servers that no other test has used."""

import pytest

from tests.targets.places import S3Place
from tests.targets.servers import S3, Places


@pytest.fixture(params=S3)
def place(request: pytest.FixtureRequest, running: Places) -> S3Place:
    """Return a new prefix at a server."""
    return inner(running, request.param)


@pytest.fixture
def weed(running: Places) -> S3Place:
    return inner(running, "seaweedfs")


@pytest.fixture
def rclone(running: Places) -> S3Place:
    return inner(running, "rclone s3")


def inner(running: Places, server: str) -> S3Place:
    found: S3Place = running[server].inner()
    return found
