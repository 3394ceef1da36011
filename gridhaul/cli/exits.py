"""The exit codes of the command, and the lines on stderr that explain them."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn

import typer

from gridhaul.cli.text import duration, safe
from gridhaul.cli.words import told
from gridhaul.client import ApiError, ApiInsecure, ApiUnreachable
from gridhaul.client.errors import UNEXPECTED_ANSWER
from gridhaul.process.settings import SettingsError
from gridhaul.transfer import errors


class Interrupted(Exception):
    """Ctrl-C ended a command. The message says how to look again, and is printed after the bars are gone."""


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    INTEGRITY = 3
    NOT_FOUND = 4
    NOT_ALLOWED = 5
    INTERRUPTED = 130


INTEGRITY_CODES = frozenset(
    error.code
    for error in (
        errors.ChunkCorrupt,
        errors.ChunkDoubled,
        errors.ChunkMissing,
        errors.ContentMismatch,
        errors.DigestMismatch,
        errors.IntegrityError,
        errors.ManifestMismatch,
        errors.SourceChanged,
        errors.TargetMismatch,
        errors.UploadDigestMismatch,
    )
)
_BY_STATUS = {
    400: Exit.USAGE,
    401: Exit.NOT_ALLOWED,
    403: Exit.NOT_ALLOWED,
    422: Exit.USAGE,
}
_NOT_FOUND = frozenset({errors.NotFound.code, errors.SourceMissing.code})


def exit_of_failure(code: str) -> Exit:
    """Return the exit code for a transfer that failed with the error code `code`."""
    return Exit.INTEGRITY if code in INTEGRITY_CODES else Exit.FAILED


def exit_of_answer(error: ApiError) -> Exit:
    """Return the exit code for a request that the api refused."""
    if error.code == UNEXPECTED_ANSWER:
        return Exit.FAILED
    if error.code in _NOT_FOUND:
        return Exit.NOT_FOUND
    return Exit.INTEGRITY if error.code in INTEGRITY_CODES else _BY_STATUS.get(error.status, Exit.FAILED)


def exit_of_operation(error: ApiError) -> Exit:
    """Return the exit code for a refused request about an id. NOT_FOUND means that the id is unknown."""
    return Exit.FAILED if error.code == errors.SourceMissing.code else exit_of_answer(error)


def leave(code: Exit, line: str) -> NoReturn:
    """Print the line on stderr and exit with `code`."""
    typer.echo(safe(line), err=True)
    raise typer.Exit(code)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn every expected error into a line on stderr and an exit code."""
    try:
        yield
    except SettingsError as error:
        leave(Exit.USAGE, f"gridhaul: {error}")
    except ApiError as error:
        leave(exit_of_answer(error), f"ERROR {error.code}: {told(error)}{_retry_advice(error)}")
    except ApiUnreachable as error:
        leave(Exit.FAILED, f"ERROR unreachable: {error}; check that the api runs, and GRIDHAUL_URL")
    except ApiInsecure as error:
        leave(Exit.FAILED, f"ERROR insecure: {error}; check GRIDHAUL_URL and GRIDHAUL_CA_FILE")
    except Interrupted as interrupted:
        leave(Exit.INTERRUPTED, f"Interrupted. {interrupted}")
    except KeyboardInterrupt:
        leave(Exit.INTERRUPTED, "Interrupted.")


def _retry_advice(error: ApiError) -> str:
    """Return when to try again, if the api says so."""
    return f" Try again in {duration(error.retry_after_seconds)}." if error.retry_after_seconds else ""
