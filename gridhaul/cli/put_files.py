"""Uploads local files: large ones one after the other over several connections, small ones a few at once."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event

from gridhaul.cli.exits import Exit, exit_of_answer, exit_of_failure
from gridhaul.cli.put_display import PutDisplay
from gridhaul.cli.put_paths import LocalFile
from gridhaul.cli.words import PATH_UNKNOWN, told
from gridhaul.client import ApiError, Client
from gridhaul.client.errors import UNEXPECTED_ANSWER
from gridhaul.client.records import DeliveryRecord, FailureRecord, FileRecord
from gridhaul.client.upload_errors import NoteNotKept, Stopped, UploadFailed
from gridhaul.client.upload_sending import ONE_SEGMENT_CHUNKS, Manner, Sending, Sent
from gridhaul.client.upload_source import UploadSource, opened_source
from gridhaul.client.upload_state import KeptUpload, UploadNotes
from gridhaul.client.uploads import UploadOrder
from gridhaul.transfer import errors
from gridhaul.transfer.chunking import CHUNK_BYTES

SMALL_BYTES = ONE_SEGMENT_CHUNKS * CHUNK_BYTES
SMALL_AT_ONCE = 4
FREED_SECONDS = 10.0  # how long a command waits for the quota of an upload that it has discarded
# Every further file would be refused for the same reason, so the command ends at the first.
OF_EVERY_FILE = frozenset({UNEXPECTED_ANSWER, PATH_UNKNOWN, errors.TargetUnknown.code})
NOT_ALLOWED = frozenset({401, 403})


@dataclass(frozen=True, kw_only=True, slots=True)
class PutOptions:
    """How files are sent. `whose` names the api and the account, to whom the notes of uploads belong."""

    targets: tuple[str, ...]
    connections: int
    resume: bool
    whose: dict[str, str]


@dataclass(kw_only=True, slots=True)
class Outcome:
    """The fate of one file: it was sent, or its upload or a delivery has failed with `error`."""

    path: str  # on this machine; - is the standard input
    name: str  # on the server
    sent: Sent | None = None
    file: FileRecord | None = None
    deliveries: list[DeliveryRecord] = field(default_factory=list)
    error: FailureRecord | None = None
    exit: Exit = Exit.OK
    kept: KeptUpload | None = None  # the note, until it is not needed any more

    def fail(self, code: str, detail: str, exit_code: Exit) -> None:
        self.error = {"code": code, "detail": detail}
        self.exit = exit_code

    def forget(self) -> None:
        """Remove the note by which a later command would go on with the upload.

        A note that cannot be removed is no failure: the next command finds by it that the upload has ended.
        """
        if self.kept is not None:
            with suppress(NoteNotKept):
                self.kept.forget()


class Putting:
    """The uploads of one command."""

    def __init__(self, client: Client, notes: UploadNotes, options: PutOptions, display: PutDisplay) -> None:
        self._client = client
        self._notes = notes
        self._options = options
        self._display = display
        self._stopped = Event()

    def send(self, files: Sequence[LocalFile]) -> list[Outcome]:
        """Upload all files, and return what has become of each.

        Raises ClientError if every other file would meet the same error.
        """
        small = [local for local in files if local.length_bytes <= SMALL_BYTES]
        large = [local for local in files if local.length_bytes > SMALL_BYTES]
        try:
            outcomes = [*self._send_small(small), *map(self._send_one, large)]
        except BaseException:
            self._stopped.set()
            raise
        order = {local.name: n for n, local in enumerate(files)}
        return sorted(outcomes, key=lambda outcome: order[outcome.name])

    def _send_small(self, files: Sequence[LocalFile]) -> Iterator[Outcome]:
        begun: deque[Future[Outcome]] = deque()
        with self._threads() as threads:
            for local in files:
                begun.append(threads.submit(self._send_one, local))
                if len(begun) > 2 * SMALL_AT_ONCE:
                    yield begun.popleft().result()
            for future in begun:
                yield future.result()

    @contextmanager
    def _threads(self) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(SMALL_AT_ONCE, thread_name_prefix="putting") as threads:
            try:
                yield threads
            except BaseException:
                self._stopped.set()
                threads.shutdown(cancel_futures=True)
                raise

    def _send_one(self, local: LocalFile) -> Outcome:
        outcome = Outcome(path=str(local.path), name=local.name)
        try:
            with ExitStack() as opened:
                source = opened.enter_context(opened_source(local.path, follow_symlinks=local.is_named))
                outcome.kept = opened.enter_context(self._note(source, local))
                outcome.sent = self._sending(source, outcome.kept, local).send()
                outcome.file = outcome.sent.file
        except Stopped:
            raise
        except UploadFailed as error:
            outcome.fail(error.code, str(error), exit_of_failure(error.code))
        except ApiError as error:
            if error.status in NOT_ALLOWED or error.code in OF_EVERY_FILE:
                raise
            outcome.fail(error.code, told(error), exit_of_answer(error))
        except OSError as error:
            detail = f"{local.path} cannot be read: {error.strerror}."
            outcome.fail(errors.SourceUnreadable.code, detail, Exit.FAILED)
        return outcome

    @contextmanager
    def _note(self, source: UploadSource, local: LocalFile) -> Iterator[KeptUpload]:
        """Yield the note of the file's upload. An unfinished upload that nobody goes on with is discarded."""
        about = {"path": str(local.path), "name": local.name, "targets": " ".join(self._options.targets)}
        version = {"length": str(source.length_bytes), "mtime_ns": str(source.mtime_ns)}
        durable = source.length_bytes > SMALL_BYTES
        with self._notes.keep(self._options.whose | about, version=version, durable=durable) as kept:
            if kept.is_outdated or not (self._options.resume or kept.is_new):
                former = kept.address
                kept.begin_anew()
                if former is not None:
                    self._client.uploads.discard(former)
                    self._client.uploads.wait_until_deleted(former, FREED_SECONDS, self._stopped.wait)
            yield kept

    def _sending(self, source: UploadSource, kept: KeptUpload, local: LocalFile) -> Sending:
        is_small = source.length_bytes <= SMALL_BYTES
        order = UploadOrder(name=local.name, length=source.length_bytes, targets=self._options.targets)
        manner = Manner(
            connections=1 if is_small else self._options.connections,
            on_progress=self._display.sent,
            on_resume=(lambda: None) if is_small else self._going_on(local),
            stopped=self._stopped,
        )
        return Sending(self._client.uploads, source, kept, order, manner)

    def _going_on(self, local: LocalFile) -> Callable[[], None]:
        return lambda: self._display.say(f"going on with {local.name}, which an earlier command has begun")
