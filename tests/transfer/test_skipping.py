"""Paths as text: any path can be shown, and the text leads back to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhaul.transfer.naming import has_control_characters
from gridhaul.transfer.skipping import is_utf8, path_of, shown


@given(
    st.binary(max_size=40).map(lambda name: b"/" + name) | st.text(max_size=20).map(lambda name: f"/{name}".encode())
)
def test_shown_path_is_printable_and_leads_back_to_the_same_bytes(path: bytes) -> None:
    text = shown(path.decode("utf-8", "surrogateescape"))
    assert is_utf8(text)
    assert not has_control_characters(text)
    assert path_of(text).encode("utf-8", "surrogateescape") == path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/srv/a b", "/srv/a b"),
        ("/srv/a\\x0ab", "/srv/a\\x0ab"),
        ("/srv/a\nb", "$'/srv/a\\x0ab'"),
        ("/srv/'\\\udcff", "$'/srv/\\'\\\\\\xff'"),
    ],
)
def test_only_an_unprintable_path_is_quoted(path: str, text: str) -> None:
    assert shown(path) == text
    assert path_of(text) == path
