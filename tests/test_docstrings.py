"""The check of docstrings."""

import pytest

from tests.docstrings import riddles


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('"""What a test is for."""\n', [1]),
        ('"""A module."""\n\n\ndef f():\n    """what it does."""\n', [5]),
        ('class C:\n    async def m(self):\n        """\n        What.\n        """\n', [3]),
        ('class C:\n    """\n    What a class is.\n    """\n', [2]),
        ('"""Whatever is there."""\n\n\ndef f():\n    """Return what is there."""\n', []),
        ("def f():\n    # What\n    return 1\n", []),
    ],
)
def test_docstring_that_begins_with_what_is_found(source: str, lines: list[int]) -> None:
    assert list(riddles(source)) == lines
