"""Giving a whole stage its final name: a new name, or in place of the object that has the name."""

import posixpath
from collections.abc import Awaitable, Callable, Mapping

import asyncssh

from gridhaul.targets.sftp.errors import GONE, meaning
from gridhaul.targets.sftp.facts import SftpFacts
from gridhaul.targets.sftp.remote import Remote
from gridhaul.transfer.errors import GridhaulError, NotFound, ObjectExists, TargetRefused, TargetUnavailable
from gridhaul.transfer.model import Stage

REQUESTS: Mapping[str, Callable[[asyncssh.SFTPClient, str, str], Awaitable[None]]] = {
    "link": asyncssh.SFTPClient.link,
    "rename": asyncssh.SFTPClient.rename,
    "posix-rename": asyncssh.SFTPClient.posix_rename,
}


async def give_name(remote: Remote, request: str, source: str, destination: str) -> None:
    """Give an object another name by one of the REQUESTS. Raises SFTPError if the server refuses the request."""
    source_path, destination_path = remote.path(source), remote.path(destination)
    await remote.ask(lambda sftp: REQUESTS[request](sftp, source_path, destination_path))


class Naming:
    """Names stages by the requests that the probe has seen to do what they must."""

    def __init__(self, remote: Remote, facts: SftpFacts, *, surprised: Callable[[], None]) -> None:
        self._remote = remote
        self._facts = facts
        self._surprised = surprised  # is called if the server does not do what the probe saw it do

    async def commit(self, stage: Stage) -> None:
        """Do what `transfer.ports.targets.Staging.commit` says.

        The look spares an object that would be replaced if the server has become laxer since the probe.
        """
        if await self._remote.look(stage.final_name) is not None:
            raise _taken()
        request = "rename" if self._facts.naming == "none" else self._facts.naming
        try:
            await self._give_name(request, stage)
        except asyncssh.SFTPError as refusal:  # its code is the same for a taken name and for other reasons
            if await self._remote.look(stage.final_name) is not None:
                raise _taken() from None
            raise self._surprise(refusal) from None
        await self._finish(stage, linked=request == "link")

    async def replace(self, stage: Stage) -> None:
        """Do what `transfer.ports.targets.Staging.replace` says."""
        await self._require(stage)  # without the stage, some servers would only remove the final object
        await self._remote.look_for_object(stage.final_name)  # raises if a folder has the name
        request = self._facts.replacing
        if request == "remove":
            await self._remote.remove(stage.final_name)
            request = "rename"
        try:
            await self._give_name(request, stage)
        except asyncssh.SFTPError as refusal:
            raise self._surprise(refusal) from None
        await self._finish(stage, linked=False)

    async def _give_name(self, request: str, stage: Stage) -> None:
        """Make the request, and once more after making the folders if the final name's folder is missing."""
        try:
            await give_name(self._remote, request, stage.name, stage.final_name)
        except GONE:
            await self._require(stage)
            await self._remote.make_folders(stage.final_name)
            await give_name(self._remote, request, stage.name, stage.final_name)

    async def _require(self, stage: Stage) -> None:
        if await self._remote.look_for_object(stage.name) is None:
            raise NotFound("The temporary object is no longer at the target.")

    async def _finish(self, stage: Stage, *, linked: bool) -> None:
        """Remove the temporary name of a linked object, and flush the names.

        Raises TargetUnavailable if that fails, never TargetRefused: the object has its final name already, and the next
        attempt finds it there.
        """
        try:
            if linked:
                await self._remote.remove(stage.name)
            for folder in {posixpath.dirname(name) for name in (stage.final_name, stage.name)}:
                await self._remote.sync_folder(folder)
        except TargetRefused as refusal:
            raise TargetUnavailable(
                f"The object has its final name, but the target did not finish: {refusal.detail}"
            ) from None

    def _surprise(self, refusal: asyncssh.SFTPError) -> GridhaulError:
        self._surprised()
        return meaning(refusal)


def _taken() -> ObjectExists:
    return ObjectExists("The target already holds an object under this name.")
