"""Exceptions of asyncssh and of the operating system become errors of ours, which show no text of the exceptions."""

import sys
from collections.abc import Iterator
from typing import Any

import asyncssh
import pytest

from gridhaul.targets.sftp.errors import CHANNELS, JUMP, mapped_errors, meaning
from gridhaul.transfer.errors import (
    GridhaulError,
    NotAnObject,
    TargetFull,
    TargetLocked,
    TargetRefused,
    TargetUnavailable,
)

SECRET = "/srv/secret"


def exceptions_of_asyncssh() -> Iterator[type[Exception]]:
    """Yield every exception class of the modules that asyncssh imports."""
    modules = [module for name, module in sys.modules.items() if name.startswith("asyncssh.")]
    for module in modules:
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, Exception) and found.__module__ == module.__name__:
                yield found


def made(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    error.args = (SECRET,)
    error.__dict__.update({"code": 4, "reason": SECRET})
    return error


@pytest.mark.parametrize("foreign", list(exceptions_of_asyncssh()), ids=lambda foreign: str(foreign.__name__))
def test_every_exception_of_the_library_is_mapped(foreign: type[Exception]) -> None:
    with pytest.raises(GridhaulError) as caught, mapped_errors():
        raise made(foreign)
    assert SECRET not in caught.value.detail
    assert caught.value.__suppress_context__
    assert isinstance(caught.value, TargetUnavailable | TargetRefused)


def test_there_are_exceptions_to_map() -> None:
    found = set(exceptions_of_asyncssh())
    assert {asyncssh.SFTPFailure, asyncssh.ConnectionLost, asyncssh.KeyImportError, asyncssh.ProcessError} <= found
    assert len(found) > 60


@pytest.mark.parametrize("error", [OSError(111, SECRET), TimeoutError(), EOFError(), ConnectionResetError(SECRET)])
def test_errors_of_the_system_are_tried_again(error: Exception) -> None:
    with pytest.raises(TargetUnavailable) as caught, mapped_errors():
        raise error
    assert SECRET not in caught.value.detail


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), RuntimeError("x"), AssertionError("x")])
def test_other_exceptions_are_left_alone(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, mapped_errors():
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("foreign", "error", "words"),
    [
        (asyncssh.HostKeyNotVerifiable, TargetRefused, "fingerprint"),
        (asyncssh.PermissionDenied, TargetRefused, "check the target's username"),
        (asyncssh.KeyExchangeFailed, TargetRefused, "AES-GCM"),
        (asyncssh.ConnectionLost, TargetUnavailable, "broke off"),
        (asyncssh.SFTPConnectionLost, TargetUnavailable, "broke off"),
        (asyncssh.SFTPFailure, TargetUnavailable, "is its disk full"),
        (asyncssh.SFTPPermissionDenied, TargetRefused, "may do in the target's folder"),
        (asyncssh.SFTPBadMessage, TargetRefused, "choose another name"),
        (asyncssh.SFTPNoSpaceOnFilesystem, TargetFull, "no space"),
        (asyncssh.SFTPQuotaExceeded, TargetFull, "no space"),
        (asyncssh.SFTPLockConflict, TargetLocked, "under way"),
        (asyncssh.SFTPFileIsADirectory, NotAnObject, "folder"),
        (asyncssh.ServiceNotAvailable, TargetUnavailable, "takes no further connection now"),
        (asyncssh.ChannelOpenError, TargetUnavailable, "too many"),
    ],
)
def test_meaning_of_an_exception(foreign: type[Exception], error: type[GridhaulError], words: str) -> None:
    found = meaning(made(foreign))
    assert type(found) is error
    assert words in found.detail


@pytest.mark.parametrize("code", CHANNELS)
def test_refused_channel_is_told(code: int) -> None:
    assert isinstance(meaning(asyncssh.ChannelOpenError(code, SECRET)), TargetRefused)


def test_error_of_the_jump_host_names_it() -> None:
    error: Any = made(asyncssh.PermissionDenied)
    assert meaning(error, JUMP).detail.startswith("The target's jump host refused the login")
