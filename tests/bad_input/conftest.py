"""The running system that the journeys share."""

from tests.journeys.conftest import operator, remotes, sources, system

__all__ = ["operator", "remotes", "sources", "system"]
