"""A stand-in for a part that the tested code must not use: any use of it fails the test."""

from typing import Any


class _Unused:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the test gave no part here, but the code asked for its {name!r}")


UNUSED: Any = _Unused()
