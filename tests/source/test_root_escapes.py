"""Roots of accounts that are missing, replaced by links, or not beneath a configured root."""

import errno
from pathlib import Path

import pytest

from gridhaul.source.roots import Roots
from gridhaul.transfer.errors import NotARegularFile, PathNotAllowed, SourceMissing
from tests.source.exports import INSIDE, Exports, forbid_openat2


def _replace(folder: Path, to: Path | str) -> None:
    folder.rename(folder.with_name("before"))
    folder.symlink_to(to)


@pytest.mark.parametrize("to", ["bob", "{exports}/bob", "../../..", "{outside}", "before", "none", "/"])
async def test_root_of_an_account_that_became_a_link_is_not_allowed(exports: Exports, to: str) -> None:
    """The link is not followed even to a folder beneath the configured root: the folder may be another account's."""
    _replace(exports.alice, exports.path(to))
    for name in ("run.h5", "none", "folder/run.h5"):
        assert type(await exports.refused(f"{{alice}}/{name}")) is PathNotAllowed


@pytest.mark.parametrize("to", ["before", "/", "none"])
async def test_link_on_the_way_to_the_root_of_an_account_is_not_allowed(exports: Exports, to: str) -> None:
    exports.configured = exports.outside
    _replace(exports.outside / "srv", to)
    assert type(await exports.refused("{alice}/run.h5")) is PathNotAllowed


async def test_configured_root_may_be_a_link(exports: Exports) -> None:
    _replace(exports.configured, "before")
    assert await exports.open("{alice}/run.h5") == INSIDE


async def test_of_the_configured_roots_the_longest_is_opened(exports: Exports) -> None:
    """A configured root may be a link; beneath the shorter root the same link would not be followed."""
    _replace(exports.configured, "before")
    for configured in ((exports.outside, exports.configured), (exports.configured, exports.outside)):
        roots = Roots(configured=configured, allowed=(exports.alice,))
        assert roots.place(f"{exports.alice}/run.h5").configured == exports.configured


async def test_of_the_allowed_roots_the_longest_confines_links(exports: Exports) -> None:
    (exports.alice / "link").symlink_to("../bob/run.h5")
    for allowed in ((exports.configured, exports.alice), (exports.alice, exports.configured)):
        roots = Roots(configured=(exports.configured,), allowed=allowed)
        assert roots.holding(f"{exports.alice}/link") == exports.alice
        assert roots.holding(f"{exports.configured}/bob/run.h5") == exports.configured
        assert type(await exports.refused("{alice}/link", roots)) is PathNotAllowed


@pytest.mark.parametrize("name", ["run.h5", "none", "folder/run.h5"])
async def test_in_a_missing_root_everything_is_missing(exports: Exports, name: str) -> None:
    exports.alice.rename(exports.alice.with_name("before"))
    assert type(await exports.refused(f"{{alice}}/{name}")) is SourceMissing
    exports.alice.write_bytes(b"a file")
    assert type(await exports.refused(f"{{alice}}/{name}")) is SourceMissing
    exports.configured.rename(exports.outside / "unmounted")
    assert type(await exports.refused(f"{{alice}}/{name}")) is SourceMissing


@pytest.mark.parametrize(
    "allowed", ["{outside}", "/", "{outside}/srv", "{alice}/../bob", "{exports}-evil", "srv", "", ".", "{exports}/bob"]
)
async def test_root_that_is_not_beneath_a_configured_one_or_elsewhere_allows_nothing(
    exports: Exports, allowed: str
) -> None:
    roots = Roots(configured=(exports.configured,), allowed=(Path(exports.path(allowed)),))
    for path in ("{alice}/run.h5", "{outside}/secret", "/etc/passwd", "/"):
        assert type(await exports.refused(path, roots)) is PathNotAllowed


async def test_account_without_roots_may_open_nothing(exports: Exports) -> None:
    roots = Roots(configured=(exports.configured,), allowed=())
    assert type(await exports.refused("{alice}/run.h5", roots)) is PathNotAllowed


async def test_root_may_be_written_with_a_slash_and_be_the_configured_one(exports: Exports) -> None:
    roots = Roots.any_of((Path(f"{exports.alice}/"), Path("/")))
    assert roots.holding(f"{exports.alice}/run.h5") == exports.alice
    assert roots.holding("/etc/passwd") == Path("/")
    assert type(await exports.refused("{alice}/folder", roots)) is NotARegularFile


async def test_filter_that_forbids_openat2_is_no_refusal_of_the_file(
    exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_openat2(monkeypatch, errno.EPERM)
    assert await exports.open("{alice}/folder/run.h5") == INSIDE
