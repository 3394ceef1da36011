"""Lies of SFTP servers."""

import hashlib

from gridhaul.transfer.model import Evidence
from tests.contracts.bytes_to_store import MIB
from tests.contracts.lies import ALWAYS, DATA, DELIVERED, NAME, THEIR_DATA, THEIRS, Lie, Lies, after, named, ssh
from tests.servers.lying_sftp import (
    denied,
    does_nothing,
    done_and_refused,
    ends_at,
    flips,
    full,
    keeps_nothing,
    lost_answer,
    lost_request,
    only_reading,
    opens_instead,
    tells,
    tells_of,
    wrong_length,
)

SFTP = ("sftp",)  # objects are read back
TELLING = ("sftp sha256sum",)
BOTH = (*SFTP, *TELLING)
STAGE = ".part"
SENT_DIGEST, OTHER_DIGEST = (hashlib.sha256(data).hexdigest() for data in (DATA, THEIR_DATA))

NOTHING_DONE: Lies = {
    "write stores nothing": Lie(kinds=BOTH, tell=ssh("write", keeps_nothing, STAGE), ends="target_mismatch"),
    "link does nothing": Lie(kinds=BOTH, tell=ssh("link", does_nothing, NAME), ends="target_inconsistent"),
    "link is done and refused": Lie(kinds=BOTH, tell=ssh("link", done_and_refused, NAME), ends="target_inconsistent"),
}
LENGTHS: Lies = {
    "stat of the stage tells more": Lie(
        kinds=BOTH, tell=ssh("lstat", wrong_length(1), STAGE), ends="target_inconsistent", says="another length"
    ),
    "stat of the stage tells less": Lie(
        kinds=BOTH, tell=ssh("lstat", wrong_length(-1), STAGE), ends="target_inconsistent", says="another length"
    ),
    "stat tells more": Lie(kinds=BOTH, tell=ssh("lstat", wrong_length(1), NAME), ends=DELIVERED),
    "stat tells less": Lie(kinds=BOTH, tell=ssh("lstat", wrong_length(-1), NAME), ends=DELIVERED),
}
CUT_READS: Lies = {
    "reads end early": Lie(
        kinds=SFTP, tell=ssh("read", ends_at(MIB // 2), STAGE, times=ALWAYS), ends="target_mismatch"
    ),
    "a read breaks off": Lie(kinds=SFTP, tell=ssh("read", lost_request, STAGE), ends="target_unavailable"),
}
LOST_ANSWERS: Lies = {
    f"the answer to {request} is lost": Lie(
        kinds=SFTP, tell=ssh(request, lost_answer, at), ends="target_unavailable", says="broke off"
    )
    for request, at in {"open": STAGE, "write": STAGE, "link": NAME, "remove": STAGE}.items()
}
REPLACING: Lies = {
    "the answer to posix-rename is lost": Lie(
        kinds=BOTH, tell=ssh("posix_rename", lost_answer, NAME), ends="target_unavailable", replaces=True
    ),
    "posix-rename does nothing": Lie(
        kinds=BOTH,
        tell=ssh("posix_rename", does_nothing, NAME),
        ends="outcome_unknown",
        says="may have put the object elsewhere",
        replaces=True,
    ),
    "posix-rename is done and refused": Lie(
        kinds=BOTH, tell=ssh("posix_rename", done_and_refused, NAME), ends="target_unavailable", replaces=True
    ),
}
DIGESTS: Lies = {
    "sha256sum tells the digest of another object": Lie(
        kinds=TELLING, tell=ssh("sha256sum", tells(OTHER_DIGEST)), ends=DELIVERED, evidence=Evidence.READ_BACK
    ),
    "sha256sum tells one digest for all objects": Lie(
        kinds=TELLING,
        tell=ssh("sha256sum", tells(SENT_DIGEST), times=ALWAYS),
        ends=DELIVERED,
        evidence=Evidence.READ_BACK,
        lies_to_probes=True,
    ),
    "sha256sum tells one digest for all objects, and other bytes are stored": Lie(
        kinds=TELLING,
        tell=after(ssh("write", flips, STAGE), lie=ssh("sha256sum", tells(SENT_DIGEST), times=ALWAYS)),
        ends="target_mismatch",
        lies_to_probes=True,
    ),
}
OTHER_BYTES: Lies = {
    "other bytes are stored": Lie(kinds=BOTH, tell=ssh("write", flips, STAGE), ends="target_mismatch"),
}
OTHER_KEYS: Lies = {
    "another object is read": Lie(
        kinds=SFTP, tell=ssh("open", opens_instead(THEIRS), STAGE, skip=1), ends="target_mismatch"
    ),
    "another object seems to have the name": Lie(kinds=BOTH, tell=ssh("lstat", tells_of(THEIRS), NAME), ends=DELIVERED),
}
HINDRANCES: Lies = {
    "objects may not be read": Lie(
        kinds=SFTP,
        tell=ssh("open", only_reading(denied), times=ALWAYS),
        ends="target_refused",
        says="check what the target's username may do",
    ),
    "nothing may be read": Lie(
        kinds=BOTH,
        tell=ssh("lstat", denied, times=ALWAYS),
        ends="target_refused",
        says="check what the target's username may do",
    ),
    "nothing may be written": Lie(
        kinds=BOTH, tell=ssh("open", denied, STAGE, times=2), ends="target_refused", says="check what the target's"
    ),
    "there is no room": Lie(kinds=BOTH, tell=ssh("write", full, STAGE), ends="target_unavailable", says="disk full"),
    "the server is down": Lie(
        kinds=BOTH, tell=ssh("lstat", lost_request, times=ALWAYS), ends="target_unavailable", says="does not answer"
    ),
}
LIES = named(
    "sftp",
    NOTHING_DONE,
    LENGTHS,
    CUT_READS,
    LOST_ANSWERS,
    REPLACING,
    DIGESTS,
    OTHER_BYTES,
    OTHER_KEYS,
    HINDRANCES,
)
