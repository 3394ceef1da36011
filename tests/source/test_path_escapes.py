"""Paths that try to leave an account's root by their text: each is refused with its own error."""

import pytest

from gridhaul.transfer.errors import PathInvalid, PathNotAllowed, SourceMissing
from tests.source.exports import INSIDE, Exports

TWO_DOTS = {
    "last": "{alice}/..",
    "first below the root": "{alice}/../bob/run.h5",
    "after a folder": "{alice}/folder/../../bob/run.h5",
    "after a file": "{alice}/run.h5/../../bob/run.h5",
    "after nothing": "{alice}/none/../../bob/run.h5",
    "staying inside": "{alice}/folder/../run.h5",
    "first of all": "/..{alice}/run.h5",
    "above the root and back": "{exports}/bob/../alice/run.h5",
    "after a dot": "{alice}/./../bob/run.h5",
    "among double slashes": "{alice}//..//bob//run.h5",
    "with a slash at the end": "{alice}/../",
    "many": "{alice}" + "/.." * 40 + "/etc/passwd",
}
OUTSIDE = {
    "system file": "/etc/passwd",
    "system file that is missing": "/etc/none",
    "system file, double slash": "//etc/passwd",
    "another account": "{exports}/bob/run.h5",
    "another account, nothing there": "{exports}/bob/none",
    "sibling whose name begins alike": "{exports}/alice-evil/run.h5",
    "name that continues the root's": "{alice}x",
    "beside the account": "{exports}/run.h5",
    "configured root itself": "{exports}",
    "above": "{outside}/secret",
    "file system's root": "/",
    "dot at the file system's root": "/.",
    "other case": "{exports}/ALICE/run.h5",
    "environment": "/proc/self/environ",
    "magic root": "/proc/self/root{alice}/run.h5",
    "magic working directory": "/proc/self/cwd/run.h5",
    "magic descriptor": "/proc/self/fd/0",
    "standard input": "/dev/stdin",
    "descriptor": "/dev/fd/0",
    "device": "/dev/zero",
}
ONLY_NAMES = {
    "percent dots": "{alice}/%2e%2e/bob/run.h5",
    "percent slash": "{alice}/..%2fbob%2frun.h5",
    "percent twice": "{alice}/%252e%252e/bob/run.h5",
    "percent NUL": "{alice}/run.h5%00",
    "overlong percent": "{alice}/%c0%ae%c0%ae/bob/run.h5",
    "overlong, read as Latin-1": "{alice}/\u00c0\u00ae\u00c0\u00ae/bob/run.h5",
    "full-width dots": "{alice}/\uff0e\uff0e/bob/run.h5",
    "one dot leaders": "{alice}/\u2024\u2024/bob/run.h5",
    "two dot leader": "{alice}/\u2025/bob/run.h5",
    "fraction slash": "{alice}/..\u2044bob\u2044run.h5",
    "division slash": "{alice}/..\u2215bob\u2215run.h5",
    "full-width slash": "{alice}/..\uff0fbob\uff0frun.h5",
    "backslash": "{alice}/..\\bob\\run.h5",
    "three dots": "{alice}/.../bob/run.h5",
    "dots and a space": "{alice}/.. /bob/run.h5",
    "dots and a joiner": "{alice}/..\u200d/bob/run.h5",
    "dots and a semicolon": "{alice}/..;/bob/run.h5",
    "C1 newline": "{alice}/..\u0085/bob/run.h5",
    "line separator": "{alice}/..\u2028/bob/run.h5",
    "home": "{alice}/~/run.h5",
    "variable": "{alice}/$HOME/run.h5",
    "pattern": "{alice}/*/run.h5",
}
MALFORMED = {
    "empty": "",
    "relative": "alice/run.h5",
    "relative, leaving": "../bob/run.h5",
    "home": "~/run.h5",
    "URL": "file:///etc/passwd",
    "NUL": "{alice}/run.h5\0",
    "NUL before an end that looks right": "/etc/passwd\0{alice}/run.h5",
    "newline": "{alice}/run.h5\n",
    "carriage return": "{alice}/\r/run.h5",
    "tab": "{alice}/\t",
    "escape": "{alice}/\x1b[2J",
    "delete": "{alice}/\x7f",
    "lone surrogate": "{alice}/\udc2e\udc2e/run.h5",
    "4,097 bytes": "/" + "x/" * 2048,
    "100,000 bytes": "{alice}/" + "x" * 100_000,
    "a name of 256 bytes": "{alice}/" + "x" * 256,
}


@pytest.mark.parametrize("path", TWO_DOTS.values(), ids=TWO_DOTS)
async def test_two_dots_are_not_allowed(exports: Exports, path: str) -> None:
    assert type(await exports.refused(path)) is PathNotAllowed


@pytest.mark.parametrize("path", OUTSIDE.values(), ids=OUTSIDE)
async def test_what_is_outside_is_not_allowed_whether_it_exists_or_not(exports: Exports, path: str) -> None:
    refused = await exports.refused(path)
    assert (type(refused), refused.detail) == (PathNotAllowed, (await exports.refused("/none")).detail)


@pytest.mark.parametrize("path", ONLY_NAMES.values(), ids=ONLY_NAMES)
async def test_what_only_looks_like_a_way_out_is_a_name_that_is_missing(exports: Exports, path: str) -> None:
    assert type(await exports.refused(path)) is SourceMissing


@pytest.mark.parametrize("path", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_path_is_invalid(exports: Exports, path: str) -> None:
    assert type(await exports.refused(path)) is PathInvalid


@pytest.mark.parametrize(
    "path",
    [
        "{alice}/run.h5",
        "{alice}//run.h5",
        "/{alice}/run.h5",
        "{alice}/./folder/./run.h5",
        "{alice}/run.h5/",
        "/.{alice}/run.h5",
    ],
)
async def test_other_ways_to_write_a_path_inside_lead_to_the_same_file(exports: Exports, path: str) -> None:
    assert await exports.open(path) == INSIDE
