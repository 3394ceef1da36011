"""Begin of the stage to commit at four servers, compared with `rclone copyto` to the same server. A case for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.phases import Phases, wait_for_phases
from bench.places import rclone_server
from bench.places.place import TARGET
from bench.places.placed import MakePlace, Placed, placed
from bench.places.seaweedfs import WEED, seaweedfs
from bench.places.sshd import SSHD, sshd
from bench.result import Figure, Goal, Outcome
from bench.scale import MIB, named
from bench.timing import rate, timed
from gridhaul.embedded.binaries import Binary
from gridhaul.targets.s3.part_sizes import part_bytes_of, parts_at_once
from gridhaul.targets.sftp.writing import IN_FLIGHT_BYTES

OURS = "Gridhaul, begin to commit"
PEER = "rclone copyto"
UNHASHED = "rclone copyto without its hash"
UNIT = "MiB/s"
COPY = "copy"
SFTP_BLOCK_BYTES = 255 << 10  # the most that OpenSSH takes in one request

Options = Mapping[str, tuple[str, ...]]  # rclone's options by contestant


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A server, and the contestants that copy to it."""

    name: str
    make_place: MakePlace
    goal: Goal
    options: Callable[[int], Options]  # takes the length of the file
    programs: tuple[Binary, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Delivery:
    whole_seconds: float  # from the request to DELIVERED
    phases: Phases


class _Deliveries:
    """Deliveries of one stored file to the place."""

    def __init__(self, at: Placed, file_id: str, mib: int) -> None:
        self._at = at
        self._file_id = file_id
        self._mib = mib
        self._sha256 = at.installation.operator.sha256(file_id)
        self._names = (f"object-{number}" for number in count())
        self.done: list[_Delivery] = []

    def measure(self) -> float:
        """Deliver the file, remove the object, and return the rate from the begin of the stage to its commit."""
        deliver = partial(self._at.installation.operator.deliver, self._file_id, self._sha256, target=TARGET)
        whole_seconds, delivery_id = timed(lambda: deliver(object_name=next(self._names)))
        phases = wait_for_phases(self._at.installation.worker_logs, delivery_id)
        self._at.remove_objects()
        self.done.append(_Delivery(whole_seconds=whole_seconds, phases=phases))
        return self._mib / phases.sending_seconds


def _measure(kind: Kind, bench: Bench) -> Outcome:
    mib = bench.scale.file_mib
    source = bench.stand.sources.random(mib)
    with placed(bench.stand, kind.name, kind.make_place) as at:
        deliveries = _Deliveries(at, at.installation.operator.store(source), mib)
        contestants = [Contestant(OURS, deliveries.measure)]
        for name, options in kind.options(mib * MIB).items():
            contestants.append(Contestant(name, _copying(at, source, mib, options)))
        rates = bench.alternate(contestants, unit=UNIT)
    peers = {name: values for name, values in rates.items() if name not in (OURS, UNHASHED)}
    outcome = Outcome(size=named(mib), ours=rates[OURS], peers=peers, ours_is=OURS)
    figures = _figures(deliveries.done[-bench.runs :], mib, outcome)
    if UNHASHED in rates:
        unhashed = median(rates[UNHASHED])
        figures += [
            Figure(what=UNHASHED, value=unhashed, unit=UNIT),
            Figure(what=f"{OURS}, by {UNHASHED}", value=outcome.ours_median / unhashed, unit=""),
        ]
    return replace(outcome, figures=figures)


def _copying(at: Placed, source: Path, mib: int, options: tuple[str, ...]) -> Callable[[], float]:
    name = f"{at.place.folder}/{COPY}"
    return rate(mib, lambda: at.rclone.copy(source, name, *options), lambda _: at.remove_objects())


def _figures(done: list[_Delivery], mib: int, outcome: Outcome) -> list[Figure]:
    evidence = "; ".join(dict.fromkeys(delivery.phases.evidence for delivery in done))
    checking = median(delivery.phases.checking_seconds for delivery in done)
    whole = median(mib / delivery.whole_seconds for delivery in done)
    return [
        Figure(what=f"checking the object ({evidence}), which is apart", value=checking, unit="s"),
        Figure(what="request to DELIVERED, with the checking", value=whole, unit=UNIT),
        Figure(what=f"request to DELIVERED, by {outcome.best_peer}", value=whole / outcome.peer_median, unit=""),
    ]


def _parts(length: int) -> Options:
    """Let rclone send parts of Gridhaul's size, and as many at once. It sends an object in parts above its cutoff."""
    part_bytes = part_bytes_of(length)
    size = f"{part_bytes}b"
    at_once = ("--s3-upload-concurrency", str(parts_at_once(part_bytes)))
    return {PEER: ("--s3-chunk-size", size, "--s3-upload-cutoff", size, *at_once)}


def _blocks(_: int) -> Options:
    """Let rclone send blocks of Gridhaul's size, and as many at once; by default it sends 64 blocks of 32 KiB."""
    at_once = str(IN_FLIGHT_BYTES // SFTP_BLOCK_BYTES)
    alike = ("--sftp-chunk-size", f"{SFTP_BLOCK_BYTES}b", "--sftp-concurrency", at_once)
    return {PEER: alike, f"{PEER} by default": (), UNHASHED: (*alike, "--sftp-disable-hashcheck")}


def _by_default(_: int) -> Options:
    return {PEER: ()}


KINDS = (
    Kind(name="target_rclone_s3", make_place=rclone_server.s3, goal=Goal("≥", 1.2), options=_parts),
    Kind(name="target_seaweedfs", make_place=seaweedfs, goal=Goal("≥", 1), options=_parts, programs=(WEED,)),
    Kind(name="target_sshd", make_place=sshd, goal=Goal("≥", 1), options=_blocks, programs=(SSHD,)),
    Kind(name="target_webdav", make_place=rclone_server.webdav, goal=Goal("≥", 0.8), options=_by_default),
)
CASES = tuple(
    Case(
        name=kind.name,
        unit=UNIT,
        goal=kind.goal,
        measure=partial(_measure, kind),
        stored_mib=lambda scale: 2 * scale.file_mib,
        programs=kind.programs,
    )
    for kind in KINDS
)
