"""The plan of a run: its cases, sizes and settings, and the disk space that it needs."""

import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from bench.catalogue import choose
from bench.disk import check_space, needed_mib
from bench.errors import NoSpace, UsageProblem
from bench.run import Plan, run
from bench.scale import FULL, GIB_IN_MIB, LEAST, MIB, named
from bench.tuning import settings_of
from gridhaul.embedded.binaries import Binary
from gridhaul.embedded.errors import BinaryMissing
from tests.bench.entries import case

Usage = namedtuple("Usage", "total used free")


def test_no_names_mean_all_cases() -> None:
    assert len(choose(())) == 17


def test_name_of_a_group_means_all_its_cases() -> None:
    names = [one.name for one in choose(("targets", "ingest"))]
    assert names == ["ingest", "target_rclone_s3", "target_seaweedfs", "target_sshd", "target_webdav"]


def test_cases_come_in_the_order_of_the_catalogue() -> None:
    assert [one.name for one in choose(("egress", "ingest"))] == ["ingest", "egress"]


def test_unknown_case_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageProblem, match=r"There is no case nothing\. There are: ingest, ingest_parent"):
        choose(("nothing",))


def test_smaller_size_shrinks_everything_alike() -> None:
    small = FULL.shrunk(256)
    assert small.file_mib == 256
    assert small.parent_file_mib == 64
    assert small.small_files == 500
    assert small.growing_mib == (256, 1024, 4096)
    assert small.records == (1_000, 25_000, 250_000)
    assert small.tebibyte_mib == 5 * GIB_IN_MIB


def test_size_of_the_full_file_is_the_full_scale() -> None:
    assert FULL.shrunk(FULL.file_mib) == FULL


def test_nothing_shrinks_away() -> None:
    assert min(FULL.shrunk(8).growing_mib) == LEAST
    assert FULL.shrunk(8).middle_files == LEAST


def test_largest_takes_the_place_of_what_is_larger() -> None:
    assert FULL.up_to(4).growing_mib == (1 * GIB_IN_MIB, 4 * GIB_IN_MIB)
    assert FULL.up_to(8).growing_mib == (1 * GIB_IN_MIB, 4 * GIB_IN_MIB, 8 * GIB_IN_MIB)
    assert FULL.up_to(16).growing_mib == FULL.growing_mib


def test_largest_bounds_what_is_sent_of_a_tebibyte() -> None:
    assert FULL.up_to(4).tebibyte_mib == 4 * GIB_IN_MIB
    assert FULL.up_to(32).tebibyte_mib == FULL.tebibyte_mib


@pytest.mark.parametrize(("mib", "text"), [(1024, "1 GiB"), (16384, "16 GiB"), (256, "256 MiB"), (1536, "1536 MiB")])
def test_sizes_are_named_in_the_unit_that_fits(mib: int, text: str) -> None:
    assert named(mib) == text


def test_room_is_for_the_case_that_stores_most() -> None:
    assert needed_mib([case()], FULL) < needed_mib(choose(("tebibyte",)), FULL) == needed_mib(choose(()), FULL)


def test_too_little_room_is_refused_with_what_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 3 * GIB_IN_MIB * MIB))
    with pytest.raises(NoSpace, match=r"The run needs 2\d\.\d GiB below .*, and 3\.0 GiB are free"):
        check_space(tmp_path, choose(()), FULL)


def test_missing_program_is_refused_with_how_to_install_it() -> None:
    missing = Binary(name="no-such-server", candidates=(), install="apt-get install it")
    plan = Plan(cases=[replace(case(), programs=(missing,))], runs=1, scale=FULL.shrunk(8), settings={})
    with pytest.raises(BinaryMissing, match="no-such-server: not found: apt-get install it"):
        run(plan)


def test_settings_are_names_and_values() -> None:
    assert settings_of(["SEGMENT_CHUNKS=8", "INLINE_LIMIT_CHUNKS=0"]) == {
        "SEGMENT_CHUNKS": "8",
        "INLINE_LIMIT_CHUNKS": "0",
    }


@pytest.mark.parametrize("given", ["SEGMENT_CHUNKS", "SEGMENTS=8", "GRIDHAUL_SEGMENT_CHUNKS=8"])
def test_what_is_no_setting_is_refused(given: str) -> None:
    with pytest.raises(UsageProblem):
        settings_of([given])
