"""The files of a form (RFC 7578), read while the body arrives: no part is kept on disk or whole in memory."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gridhaul.transfer.errors import Malformed

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD_MAX_BYTES = 4096
FIELDS_MOST = 100
FILES_MOST = 1000
HEADER_MAX_BYTES = 16 << 10


@dataclass(frozen=True, kw_only=True, slots=True)
class FormFile:
    """A part of the form that has a file name."""

    filename: str
    fields: Mapping[str, str]  # the form's other parts that came before this one
    data: AsyncIterator[bytes]  # to be read before the next part is asked for


@dataclass(slots=True)
class _Begin:
    name: str
    filename: str | None


class _End:
    pass


_Event = _Begin | _End | bytes


async def read_form(
    content_type: str, body: AsyncIterator[bytes], fields: dict[str, str] | None = None
) -> AsyncGenerator[FormFile]:
    """Yield the files of the form, in their order. Raises Malformed, and what the body raises.

    `fields` gets the form's other parts as they arrive, also those that follow the last file.
    """
    fields = {} if fields is None else fields
    files = 0
    async with aclosing(_events(content_type, body)) as events:
        async for event in events:
            assert isinstance(event, _Begin), "each part is read to its end"  # noqa: S101
            if event.filename is None:
                await _read_field(event.name, events, fields)
                continue
            files += 1
            if files > FILES_MOST:
                raise Malformed(f"A form may have {FILES_MOST} files; send the others in another one.")
            data = _data(events)
            yield FormFile(filename=event.filename, fields=dict(fields), data=data)
            async for _ in data:  # what the caller has not read
                pass


async def _data(events: AsyncIterator[_Event]) -> AsyncIterator[bytes]:
    async for event in events:
        if isinstance(event, _End):
            return
        assert isinstance(event, bytes), "the data of a part come before its end"  # noqa: S101
        yield event


async def _read_field(name: str, events: AsyncIterator[_Event], fields: dict[str, str]) -> None:
    value = bytearray()
    async for data in _data(events):
        value += data
        if len(value) > FIELD_MAX_BYTES:
            break
    fields[name] = value.decode(errors="replace")
    if len(value) > FIELD_MAX_BYTES or len(fields) > FIELDS_MOST:
        raise Malformed(f"A form may have {FIELDS_MOST} fields of up to {FIELD_MAX_BYTES} bytes beside its files.")


async def _events(content_type: str, body: AsyncIterator[bytes]) -> AsyncGenerator[_Event]:
    reader = _Reader()
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Malformed("Content-Type must name the boundary of the form.")
    try:
        parser = MultipartParser(boundary, reader.callbacks(), max_header_size=HEADER_MAX_BYTES)
        async for part in body:
            parser.write(part)
            for event in reader.take():
                yield event
    except FormParserError:
        raise Malformed("The body is not a form as RFC 7578 says.") from None
    if not reader.is_over:
        raise Malformed("The body ends before the last boundary of the form.")


@dataclass(slots=True)
class _Reader:
    """Turns the parser's callbacks into events."""

    _events: list[_Event] = field(default_factory=list)
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    is_over: bool = False  # True: the last boundary was read

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin,
            "on_part_data": lambda data, start, end: self._events.append(bytes(data[start:end])),
            "on_part_end": lambda: self._events.append(_End()),
            "on_end": self._end,
        }

    def take(self) -> list[_Event]:
        events, self._events = self._events, []
        return events

    def _end(self) -> None:
        self.is_over = True

    def _end_header(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _begin(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        filename = options.get(b"filename")
        name = options.get(b"name", b"").decode(errors="replace")
        self._events.append(_Begin(name, filename.decode(errors="replace").replace("%22", '"') if filename else None))
