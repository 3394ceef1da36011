"""The one place that turns exceptions of asyncssh, and OSErrors of its connections, into Gridhaul's errors.

No error's detail holds the text of an exception: servers choose these texts, and some put paths of their disks there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncssh
from asyncssh.asn1 import ASN1Error
from asyncssh.config import ConfigParseError
from asyncssh.constants import OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_REQUEST_SESSION_FAILED
from asyncssh.gss import GSSError  # type: ignore[attr-defined] # its origin depends on the system
from asyncssh.misc import SoftEOFReceived
from asyncssh.packet import PacketDecodeError
from asyncssh.pbe import KeyEncryptionError
from asyncssh.saslprep import SASLPrepError

from gridhaul.transfer.errors import (
    GridhaulError,
    NotAnObject,
    TargetFull,
    TargetLocked,
    TargetRefused,
    TargetUnavailable,
)

Kinds = tuple[type[Exception], ...]

SERVER = "The target's server"
JUMP = "The target's jump host"
GONE: Kinds = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
# The server has not answered these: asyncssh raises them if the session ended.
ENDED: Kinds = (asyncssh.SFTPNoConnection, asyncssh.SFTPConnectionLost)

UNKNOWN_HOST = (
    "{server} shows no host key that its known_hosts or host_key names. Ask its administrator for the fingerprint; if "
    "the server has a new key, put the new key there."
)
NOTHING_IN_COMMON = (
    "{server} and Gridhaul know no common algorithm or version of SSH; let the server offer AES-GCM, and check that "
    "the target's port is that of an SSH server."
)
BROKE_OFF = "{server} does not answer, or the connection broke off."
BEHIND_JUMP = (
    "The target's server cannot be reached from the target's jump host; check the target's host and port, and whether "
    "the server runs."
)
NOT_FORWARDED = (
    "{server} cannot be reached this way; a jump host must be allowed to forward connections to the target's host."
)

# The first line whose exceptions fit decides. `{server}` is SERVER or JUMP.
MEANINGS: Sequence[tuple[Kinds, type[GridhaulError], str]] = (
    (
        (asyncssh.HostKeyNotVerifiable,),
        TargetRefused,
        UNKNOWN_HOST,
    ),
    (
        (asyncssh.PermissionDenied, asyncssh.IllegalUserName),
        TargetRefused,
        "{server} refused the login; check the target's username and its private_key, certificate or password.",
    ),
    (
        (asyncssh.KeyExchangeFailed, asyncssh.ProtocolNotSupported),
        TargetRefused,
        NOTHING_IN_COMMON,
    ),
    (
        (asyncssh.PasswordChangeRequired,),
        TargetRefused,
        "{server} wants a new password for the target's username; change it there and in the target's password.",
    ),
    (
        (
            *(asyncssh.KeyImportError, asyncssh.KeyExportError, asyncssh.KeyGenerationError, KeyEncryptionError),
            *(ASN1Error, ConfigParseError, SASLPrepError),
        ),
        TargetRefused,
        "A key, the certificate or the username of the target cannot be used; correct it in the targets file.",
    ),
    (
        (asyncssh.SFTPFileIsADirectory,),
        NotAnObject,
        "Under this name the target has a folder; choose another name.",
    ),
    (
        (asyncssh.SFTPNotADirectory, asyncssh.SFTPLinkLoop),
        TargetRefused,
        "The target has a file or a link where the object's name needs a folder; choose another name.",
    ),
    (
        (asyncssh.SFTPBadMessage, asyncssh.SFTPInvalidFilename, asyncssh.SFTPInvalidParameter),
        TargetRefused,
        "{server} does not accept the object's name; choose another name.",
    ),
    (
        (asyncssh.SFTPOpUnsupported,),
        TargetRefused,
        "{server} cannot do what deliveries need; the log of the server tells more.",
    ),
    (
        (
            *(asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect, asyncssh.SFTPCannotDelete),
            *(asyncssh.SFTPUnknownPrincipal, asyncssh.SFTPOwnerInvalid, asyncssh.SFTPGroupInvalid),
        ),
        TargetRefused,
        "{server} does not allow it; check what the target's username may do in the target's folder.",
    ),
    (
        (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded),
        TargetFull,
        "{server} has no space for the object.",
    ),
    (
        (
            *(asyncssh.SFTPLockConflict, asyncssh.SFTPByteRangeLockConflict, asyncssh.SFTPByteRangeLockRefused),
            asyncssh.SFTPDeletePending,
        ),
        TargetLocked,
        "Another request to the object is under way at the target.",
    ),
    (
        GONE,
        TargetUnavailable,
        "{server} has no such folder or object any more; the next attempt makes it again.",
    ),
    (
        ENDED,
        TargetUnavailable,
        BROKE_OFF,
    ),
    (
        (asyncssh.SFTPError,),
        TargetUnavailable,
        "{server} could not do it; is its disk full? The log of the server tells more.",
    ),
    (
        (asyncssh.ServiceNotAvailable,),  # servers end connections with this reason when they have too many
        TargetUnavailable,
        "{server} takes no further connection now; it may have too many.",
    ),
    (
        (asyncssh.ChannelOpenError, asyncssh.ChannelListenError),
        TargetUnavailable,
        "{server} takes no further session now; it may have too many.",
    ),
    (
        (
            *(asyncssh.Error, asyncssh.BreakReceived, asyncssh.SignalReceived, SoftEOFReceived),
            *(asyncssh.TerminalSizeChanged, GSSError, PacketDecodeError, EOFError, OSError),
        ),
        TargetUnavailable,
        BROKE_OFF,
    ),
)
# What a refusal to open a channel means, by its code. Other codes mean that the server is busy.
CHANNELS = {
    OPEN_ADMINISTRATIVELY_PROHIBITED: NOT_FORWARDED,
    OPEN_REQUEST_SESSION_FAILED: "{server} does not offer SFTP to the target's username; let it start that subsystem.",
}
FOREIGN = tuple(kind for kinds, _, _ in MEANINGS for kind in kinds)


@contextmanager
def mapped_errors(server: str = SERVER) -> Iterator[None]:
    """Raise an error of Gridhaul in place of an exception of asyncssh or of the operating system."""
    try:
        yield
    except FOREIGN as error:
        raise meaning(error, server) from None


def meaning(error: Exception, server: str = SERVER) -> GridhaulError:
    """Return the error of Gridhaul that one of the FOREIGN exceptions stands for."""
    if isinstance(error, asyncssh.ChannelOpenError) and error.code in CHANNELS:
        return TargetRefused(CHANNELS[error.code].format(server=server))
    kind, detail = next((kind, detail) for kinds, kind, detail in MEANINGS if isinstance(error, kinds))
    return kind(detail.format(server=server))


def meaning_behind_jump(refusal: asyncssh.ChannelOpenError) -> GridhaulError:
    """Return the error for a jump host's refusal to lead a connection on to the target's server."""
    if refusal.code == OPEN_ADMINISTRATIVELY_PROHIBITED:
        return meaning(refusal)
    return TargetUnavailable(BEHIND_JUMP)


def meaning_of_end(error: Exception) -> GridhaulError:
    """Return the error for one of the FOREIGN exceptions that has ended a session.

    SFTPBadMessage is no answer about a name then: asyncssh raises it also for what is no message of SFTP.
    """
    return meaning(asyncssh.SFTPConnectionLost("") if isinstance(error, asyncssh.SFTPBadMessage) else error)
