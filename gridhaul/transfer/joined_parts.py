"""Parts of a body that wait together. Large ones are kept as they came, and small ones are copied together."""

from typing import Self

SMALL_BYTES = 4096  # Smaller parts take many times their length as objects of their own.


class JoinedParts:
    """Parts in their order. A `bytearray` instead would copy every byte again each time that it grows or is taken."""

    def __init__(self) -> None:
        self.parts: list[bytes | bytearray | memoryview] = []
        self._length = 0

    def __iadd__(self, part: bytes | memoryview) -> Self:
        if len(part) >= SMALL_BYTES:
            self.parts.append(part)
        elif self.parts and isinstance(self.parts[-1], bytearray):
            self.parts[-1] += part
        else:
            self.parts.append(bytearray(part))
        self._length += len(part)
        return self

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)  # `join` of one `bytes` object returns that object without a copy
