import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gridhaul.transfer.errors import InvalidValue
from gridhaul.transfer.model import Lease, RecordId
from gridhaul.transfer.naming import check_object_name, delivery_of_temporary, renamed, temporary_name

ID = RecordId("0123456789abcdef01234567")


@pytest.mark.parametrize(
    "name",
    ["run.h5", "2026/11/run 42.h5", "..run", "a..b", ".hidden", "ä", "x" * 255, "$name", "a\\b", "-rf", "%2e%2e"],
)
def test_name_is_allowed(name: str) -> None:
    assert check_object_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        "a\0b",
        "a\r\nb",
        "a\x7f",
        "\udc80",
        "x" * 256,
        "ä" * 128,
        "a/" * 600 + "b",
        f".gridhaul-{ID}-3.part",
        f"2026/.gridhaul-{ID}-3.part",
    ],
)
def test_name_is_not_allowed(name: str) -> None:
    with pytest.raises(InvalidValue):
        check_object_name(name)


@given(st.text(max_size=20))
def test_an_allowed_name_stays_beneath_the_target(name: str) -> None:
    try:
        check_object_name(name)
    except InvalidValue:
        assume(False)
    assert not name.startswith("/")
    assert not {"", ".", ".."} & set(name.split("/"))


@pytest.mark.parametrize(
    ("final", "expected"),
    [("run.h5", f".gridhaul-{ID}-7.part"), ("2026/run.h5", f"2026/.gridhaul-{ID}-7.part")],
)
def test_temporary_name_is_beside_the_final_one_and_not_for_others(final: str, expected: str) -> None:
    name = temporary_name(final, Lease(record_id=ID, fence=7))
    assert name == expected
    with pytest.raises(InvalidValue):
        check_object_name(name)


@pytest.mark.parametrize("fence", ["\N{ARABIC-INDIC DIGIT THREE}", "03", "", "-1"])
@pytest.mark.parametrize("end", ["", "\n", "x"])
def test_name_that_was_never_made_is_no_temporary_one(fence: str, end: str) -> None:
    """Such a name belongs to somebody else's object, which must not be taken for a leftover."""
    name = f".gridhaul-{ID}-{fence}.part{end}"
    assert delivery_of_temporary(name) is None
    assert delivery_of_temporary(f".gridhaul-{ID}-3.part") == ID


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [
        ("run.h5", 0, "run.h5"),
        ("run.h5", 1, "run (1).h5"),
        ("2026/run.h5", 12, "2026/run (12).h5"),
        ("run", 1, "run (1)"),
        (".hidden", 1, ".hidden (1)"),
        ("a.tar.gz", 1, "a.tar (1).gz"),
    ],
)
def test_renamed_has_its_number_before_the_suffix(name: str, number: int, expected: str) -> None:
    assert renamed(name, number) == expected


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "x" * 250 + ".h5", "folder/" + "x" * 255, "x." + "y" * 253])
def test_renamed_long_name_is_still_allowed(name: str) -> None:
    for number in (1, 999):
        assert check_object_name(renamed(name, number)) != name
