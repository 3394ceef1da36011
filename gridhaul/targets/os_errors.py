"""Calls to the operating system: made in a thread, with OSErrors turned into Gridhaul's errors."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from gridhaul.process import threads
from gridhaul.transfer.errors import NotAnObject, TargetFull, TargetRefused, TargetUnavailable

P = ParamSpec("P")
R = TypeVar("R")

LINKS = frozenset({errno.ELOOP, errno.ENOTDIR})
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
REFUSED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EFBIG, errno.EXDEV, errno.EINVAL}
)


@contextmanager
def mapped_os_errors() -> Iterator[None]:
    """Raise TargetRefused for an OSError that a person must put right, else TargetFull or TargetUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in LINKS:
            raise TargetRefused("A part of the object name is a link or a file; links are not followed.") from error
        if error.errno == errno.EISDIR:
            raise NotAnObject("Under this name the target has a folder; choose another name.") from error
        if error.errno in REFUSED:
            raise TargetRefused(f"The target's directory does not take the object: {error.strerror}.") from error
        if error.errno in FULL:
            raise TargetFull(f"The target has no space for the object: {error.strerror}.") from error
        raise TargetUnavailable(f"The target's directory failed: {error.strerror}.") from error


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call the function in a thread and return its result. Raises as `mapped_os_errors` does.

    When cancelled, still wait for the end of the call: the caller closes next what the call uses.
    """
    return await threads.in_thread(partial(_call, function, *args, **kwargs))


def _call(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    with mapped_os_errors():
        return function(*args, **kwargs)
