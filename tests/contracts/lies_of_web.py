"""Lies of WebDAV servers and plain HTTP servers."""

import base64
import hashlib

from gridhaul.transfer.model import Evidence
from tests.contracts.lies import (
    ALWAYS,
    BROKEN,
    CUT,
    DATA,
    DELIVERED,
    FLIP,
    LOST,
    NAME,
    THEIR_DATA,
    Lie,
    Lies,
    after,
    fields,
    instead,
    length,
    multistatus,
    named,
    property_length,
    web,
)
from tests.servers.disturbances import Answer

DAV = ("apache", "nginx", "rclone")
FOUND = ("apache", "rclone")  # they have PROPFIND
HTTP = ("http", "http-digest")
READ = (*DAV, "http")  # objects are read back
WEB = (*DAV, *HTTP)
STAGE = ".part"
STORED = Answer(status=201)
BUSY, ILL, FULL = multistatus("423 Locked"), multistatus("500 Internal Server Error"), multistatus("507 Full")
THEIRS_SHOWN = Answer(status=200, body=THEIR_DATA)
SHOWN = Answer(
    status=207,
    body=b'<multistatus xmlns="DAV:"><response><propstat><prop><getcontentlength>9</getcontentlength></prop>'
    b"<status>HTTP/1.1 200 OK</status></propstat></response></multistatus>",
)
SENT_DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(DATA).digest()).decode()}:"
OTHER_DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(THEIR_DATA).digest()).decode()}:"

FAILURES_INSIDE: Lies = {
    "MOVE fails inside a 207": Lie(kinds=DAV, tell=web(BUSY, "MOVE"), ends="target_locked", says="another request"),
    "MOVE is done and fails inside a 207": Lie(kinds=DAV, tell=web(instead(ILL), "MOVE"), ends="target_inconsistent"),
    "DELETE fails inside a 207": Lie(
        kinds=DAV, tell=after(web(FLIP, "PUT", STAGE), lie=web(BUSY, "DELETE", STAGE)), ends="target_mismatch"
    ),
    "PROPFIND of the name fails inside a 207": Lie(kinds=FOUND, tell=web(FULL, "PROPFIND", NAME), ends="target_full"),
    "PROPFIND of the stage fails inside a 207": Lie(
        kinds=FOUND, tell=web(ILL, "PROPFIND", STAGE), ends="target_unavailable"
    ),
}
NOTHING_DONE: Lies = {
    "PUT stores nothing": Lie(
        kinds=WEB, tell=web(STORED, "PUT"), ends="target_inconsistent", says="does not have the object"
    ),
    "MOVE does nothing": Lie(kinds=DAV, tell=web(STORED, "MOVE"), ends="target_inconsistent", says="does not show it"),
}
LENGTHS: Lies = {
    "HEAD of the stage tells more": Lie(kinds=("nginx",), tell=web(length(1), "HEAD", STAGE), ends=DELIVERED),
    "HEAD of the stage tells less": Lie(kinds=("nginx",), tell=web(length(-1), "HEAD", STAGE), ends=DELIVERED),
    "HEAD tells more": Lie(kinds=HTTP, tell=web(length(1), "HEAD", skip=1), ends=DELIVERED),
    "HEAD tells less": Lie(kinds=HTTP, tell=web(length(-1), "HEAD", skip=1), ends=DELIVERED),
    "PROPFIND tells more": Lie(kinds=FOUND, tell=web(property_length(1), "PROPFIND", STAGE), ends=DELIVERED),
    "PROPFIND tells less": Lie(kinds=FOUND, tell=web(property_length(-1), "PROPFIND", STAGE), ends=DELIVERED),
    "GET gives less than it tells": Lie(kinds=READ, tell=web(length(1), "GET"), ends="target_unavailable"),
    "GET tells and gives less": Lie(kinds=READ, tell=web(length(-1), "GET"), ends=DELIVERED),
    "GET tells and gives less each time": Lie(
        kinds=READ, tell=web(length(-1), "GET", times=ALWAYS), ends="target_mismatch"
    ),
}
CUT_READS: Lies = {
    "GET is cut": Lie(kinds=READ, tell=web(CUT, "GET"), ends="target_unavailable", says="broke off"),
}
LOST_ANSWERS: Lies = {
    "the answer to PUT is lost": Lie(kinds=WEB, tell=web(LOST, "PUT"), ends="target_unavailable"),
    "the answer to MOVE is lost": Lie(kinds=DAV, tell=web(LOST, "MOVE"), ends="target_unavailable"),
}
REPLACING: Lies = {
    "the answer to MOVE onto an object is lost": Lie(
        kinds=DAV, tell=web(LOST, "MOVE"), ends="target_unavailable", replaces=True
    ),
    "MOVE onto an object does nothing": Lie(
        kinds=DAV,
        tell=web(STORED, "MOVE"),
        ends="outcome_unknown",
        says="may have put the object elsewhere",
        replaces=True,
    ),
    "MOVE onto an object fails inside a 207": Lie(
        kinds=DAV, tell=web(BUSY, "MOVE"), ends="target_locked", replaces=True
    ),
    "the answer to PUT onto an object is lost": Lie(
        kinds=HTTP, tell=web(LOST, "PUT"), ends="target_unavailable", replaces=True
    ),
}
DIGESTS: Lies = {
    "the digest is another object's": Lie(
        kinds=("http-digest",),
        tell=web(fields(repr_digest=OTHER_DIGEST), "HEAD", skip=1),
        ends=DELIVERED,
        evidence=Evidence.READ_BACK,
    ),
    "the digest is that of what was sent": Lie(
        kinds=("http-digest",),
        tell=after(web(FLIP, "PUT"), lie=web(fields(repr_digest=SENT_DIGEST), "HEAD", skip=1, times=ALWAYS)),
        ends="target_mismatch",
    ),
}
OTHER_BYTES: Lies = {
    "other bytes are stored": Lie(kinds=WEB, tell=web(FLIP, "PUT"), ends="target_mismatch", says="other bytes"),
}
OTHER_KEYS: Lies = {
    "GET gives another object": Lie(kinds=READ, tell=web(THEIRS_SHOWN, "GET"), ends="target_mismatch"),
    "HEAD tells of another object": Lie(
        kinds=HTTP, tell=web(Answer(status=200, headers={"content-length": "9"}), "HEAD"), ends="object_exists"
    ),
    "PROPFIND tells of another object": Lie(kinds=FOUND, tell=web(SHOWN, "PROPFIND", NAME), ends="object_exists"),
}
DENIED, NO_ROOM, WRITE_ONLY = Answer(status=403), Answer(status=507), Answer(status=405)
HINDRANCES: Lies = {
    "nothing may be looked at": Lie(
        kinds=HTTP, tell=web(DENIED, "HEAD"), ends="target_refused", says="check its credentials and what they allow"
    ),
    "folders may not be looked at": Lie(
        kinds=DAV,
        tell=web(DENIED, "PROPFIND", times=ALWAYS),
        ends="target_refused",
        says="check its credentials and what they allow",
        lies_to_probes=True,
    ),
    "objects may not be read": Lie(
        kinds=READ, tell=web(DENIED, "GET"), ends="target_refused", says="check its credentials and what they allow"
    ),
    "the server knows no reading": Lie(
        kinds=HTTP,
        tell=after(web(WRITE_ONLY, "GET", times=ALWAYS), lie=web(WRITE_ONLY, "HEAD", times=ALWAYS)),
        ends=DELIVERED,
        evidence=Evidence.ACKNOWLEDGED,
    ),
    "nothing may be written": Lie(
        kinds=WEB, tell=web(DENIED, "PUT"), ends="target_refused", says="check its credentials and what they allow"
    ),
    "there is no room": Lie(kinds=WEB, tell=web(NO_ROOM, "PUT"), ends="target_full", says="no space"),
    "the server is down": Lie(
        kinds=WEB, tell=web(BROKEN, None, times=ALWAYS), ends="target_unavailable", says="does not answer"
    ),
}
LIES = named(
    "web",
    FAILURES_INSIDE,
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
