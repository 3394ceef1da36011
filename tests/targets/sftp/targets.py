"""Targets at places of SFTP servers, made as a process makes them: from a targets file."""

import os
from contextlib import AsyncExitStack
from typing import Any

from gridhaul.targets.sftp.target import SftpTarget
from tests.targets.blocks import MIB
from tests.targets.place import TARGET
from tests.targets.places import SftpPlace

SEVERAL_MIB = os.urandom(5 * MIB + 3)


class Targets:
    """Makes targets, which are closed with the stack. Settings of a target replace those of its place."""

    def __init__(self, made: AsyncExitStack) -> None:
        self._made = made

    def unprobed(self, place: SftpPlace, **settings: Any) -> SftpTarget:
        """Return a target, of which nothing is known."""
        targets = place.load(**settings)
        self._made.push_async_callback(targets.close)
        target = targets.get(TARGET)
        assert isinstance(target, SftpTarget)
        return target

    async def probed(self, place: SftpPlace, **settings: Any) -> SftpTarget:
        """Return a target that relies on what the first probe of the place's server saw."""
        target = self.unprobed(place, **settings)
        await place.rely(target, **settings)
        return target
