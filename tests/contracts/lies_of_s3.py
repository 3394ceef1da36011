"""Lies of S3 servers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from gridhaul.transfer.model import Evidence
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.lies import (
    ALWAYS,
    BROKEN,
    CUT,
    DELIVERED,
    FLIP,
    LOST,
    NAME,
    THEIR_DATA,
    Lie,
    Lies,
    Told,
    after,
    fields,
    instead,
    length,
    named,
    web,
)
from tests.contracts.lying_places import LyingPlace
from tests.servers.disturbances import Answer, Asked, Change, Instead
from tests.servers.lying_s3 import TRUNCATED, WHOLE, Believer, cut_listing, error, takes_nothing

S3 = ("seaweedfs", "moto")
ALL = (*S3, "rclone s3")
READ = ("moto",)  # objects are read back
PART_BYTES = 5 * MIB  # the least that SeaweedFS takes
PARTS = some_bytes(3 * PART_BYTES + 1)
CREATE, PART, UPLOAD = "uploads=", "partNumber=", "uploadId="
ILL, DONE = error("InternalError"), Answer(status=200, body=b"<CompleteMultipartUploadResult/>")


def refused_by_clock(by: timedelta) -> Instead:
    """Return the refusal of a server whose clock differs from ours."""

    def answer(_: Asked) -> Answer:
        date = format_datetime(datetime.now(UTC) + by, usegmt=True)
        return error("RequestTimeTooSkewed", status=403, date=date)

    return Instead(answer=answer)


def listing(*, ending: str, ends: str = DELIVERED, sends: int | None = None) -> Lie:
    """Return the lie about the parts that the server holds, which an attempt meets that goes on with three of them."""
    full = web(error("InsufficientStorage", status=507), "PUT", "partNumber=4&")
    lie = web(Change(change=cut_listing(after=2, ending=ending)), "GET", UPLOAD)
    return Lie(kinds=S3, tell=after(full, lie=lie), ends=ends, sends=sends, data=PARTS, attempts=2)


def believer(place: LyingPlace) -> Told:
    """Plan that the server compares no digest, repeats what it was told, and stores one wrong bit."""
    return Believer(place.proxy).put


FAILURES_INSIDE: Lies = {
    "Create fails inside a 200": Lie(kinds=ALL, tell=web(ILL, "POST", CREATE), ends="target_unavailable"),
    "a part fails inside a 200": Lie(kinds=ALL, tell=web(ILL, "PUT", PART), ends=DELIVERED),
    "a part fails inside a 200 each time": Lie(
        kinds=ALL, tell=web(ILL, "PUT", PART, times=ALWAYS), ends="target_unavailable", says="InternalError"
    ),
    "Complete fails inside a 200": Lie(kinds=ALL, tell=web(ILL, "POST", UPLOAD), ends="target_unavailable"),
    "Complete is done and fails inside a 200": Lie(
        kinds=ALL, tell=web(instead(ILL), "POST", UPLOAD), ends="target_unavailable"
    ),
}
NOTHING_DONE: Lies = {
    "a part is not stored": Lie(
        kinds=ALL, tell=web(Instead(answer=takes_nothing), "PUT", PART), ends="target_inconsistent"
    ),
    "Complete does nothing": Lie(kinds=ALL, tell=web(DONE, "POST", UPLOAD), ends="target_inconsistent"),
}
LENGTHS: Lies = {
    "HEAD tells more": Lie(kinds=ALL, tell=web(length(1), "HEAD", NAME, skip=2), ends=DELIVERED),
    "HEAD tells less": Lie(kinds=ALL, tell=web(length(-1), "HEAD", NAME, skip=2), ends=DELIVERED),
    "GET gives less than it tells": Lie(kinds=READ, tell=web(length(1), "GET", NAME), ends="target_unavailable"),
    "GET tells and gives less": Lie(kinds=READ, tell=web(length(-1), "GET", NAME), ends=DELIVERED),
    "GET tells and gives less each time": Lie(
        kinds=READ, tell=web(length(-1), "GET", NAME, times=ALWAYS), ends="target_mismatch"
    ),
}
CUT_READS: Lies = {"GET is cut": Lie(kinds=READ, tell=web(CUT, "GET", NAME), ends="target_unavailable")}
LOST_ANSWERS: Lies = {
    "the answer to Create is lost": Lie(
        kinds=ALL, tell=web(LOST, "POST", CREATE), ends="target_unavailable", leaves_upload=True
    ),
    "the answer to a part is lost": Lie(kinds=ALL, tell=web(LOST, "PUT", PART), ends=DELIVERED),
    "the answer to a part is lost each time": Lie(
        kinds=ALL, tell=web(LOST, "PUT", PART, times=ALWAYS), ends="target_unavailable"
    ),
    "the answer to Complete is lost": Lie(kinds=ALL, tell=web(LOST, "POST", UPLOAD), ends="target_unavailable"),
}
REPLACING: Lies = {
    "the answer to Complete onto an object is lost": Lie(
        kinds=ALL, tell=web(LOST, "POST", UPLOAD), ends="target_unavailable", replaces=True
    ),
    "Complete onto an object does nothing": Lie(
        kinds=("seaweedfs",), tell=web(DONE, "POST", UPLOAD), ends="target_inconsistent", replaces=True
    ),
    "Complete onto an object does nothing, and the object is read": Lie(
        kinds=READ, tell=web(DONE, "POST", UPLOAD), ends="target_mismatch", replaces=True
    ),
}
CLOCKS: Lies = {
    f"{request} is refused by a clock that is {off} off": Lie(
        kinds=S3,
        tell=web(refused_by_clock(by), method, at, times=ALWAYS),
        ends="target_unavailable",
        says="set the clock that is wrong",
    )
    for request, method, at in (("Create", "POST", CREATE), ("a part", "PUT", PART), ("Complete", "POST", UPLOAD))
    for off, by in {"20 minutes": timedelta(minutes=20), "25 hours": timedelta(hours=-25)}.items()
}
LISTINGS: Lies = {
    "the listing of parts has two pages": listing(
        ending=f"{TRUNCATED}<NextPartNumberMarker>2</NextPartNumberMarker>", sends=1
    ),
    "the listing of parts is cut": listing(ending=WHOLE, sends=PART_BYTES + 1),
    "the listing of parts tells no next page": listing(ending=TRUNCATED, ends="target_inconsistent"),
}
DIGESTS: Lies = {
    "digests are repeated, and other bytes are stored": Lie(
        kinds=("moto",), tell=believer, ends="target_mismatch", lies_to_probes=True
    ),
}
OTHER_BYTES: Lies = {
    "other bytes are stored": Lie(kinds=ALL, tell=web(FLIP, "PUT", PART), ends="target_inconsistent"),
}
OTHER_KEYS: Lies = {
    "GET gives another object": Lie(
        kinds=READ, tell=web(Answer(status=200, body=THEIR_DATA), "GET", NAME), ends="target_mismatch"
    ),
    "HEAD tells of another object": Lie(
        kinds=S3, tell=web(Answer(status=200, headers={"content-length": "9"}), "HEAD", NAME), ends="object_exists"
    ),
    "HEAD after the commit tells of another object": Lie(
        kinds=S3, tell=web(fields(x_amz_meta_gridhaul_stage="theirs"), "HEAD", NAME, skip=2), ends=DELIVERED
    ),
}
DENIED = error("AccessDenied", status=403)
HINDRANCES: Lies = {
    "objects may not be read": Lie(
        kinds=READ,
        tell=after(web(DENIED, "HEAD", times=ALWAYS), lie=web(DENIED, "GET", times=ALWAYS)),
        ends=DELIVERED,
        evidence=Evidence.ACKNOWLEDGED,
        lies_to_probes=True,
    ),
    "objects may not be read, but their parts are compared": Lie(
        kinds=("seaweedfs",),
        tell=after(web(DENIED, "GET", times=ALWAYS), lie=web(DENIED, "HEAD", times=ALWAYS)),
        ends=DELIVERED,
        evidence=Evidence.PART_DIGESTS,
        lies_to_probes=True,
    ),
    "nothing may be written": Lie(
        kinds=ALL, tell=web(DENIED, "POST", CREATE), ends="target_refused", says="access_key_id"
    ),
    "there is no room": Lie(
        kinds=ALL, tell=web(error("QuotaExceeded", status=403), "PUT", PART), ends="target_full", says="no space"
    ),
    "the server is down": Lie(
        kinds=ALL, tell=web(BROKEN, None, times=ALWAYS), ends="target_unavailable", says="does not answer"
    ),
}
LIES = named(
    "s3",
    FAILURES_INSIDE,
    NOTHING_DONE,
    LENGTHS,
    CUT_READS,
    LOST_ANSWERS,
    REPLACING,
    CLOCKS,
    LISTINGS,
    DIGESTS,
    OTHER_BYTES,
    OTHER_KEYS,
    HINDRANCES,
)
