"""A directory target knows its directory again by a marker, whatever is mounted at its path."""

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gridhaul.targets import marker
from gridhaul.targets.directory import DirectoryTarget
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import TargetFull, TargetRefused, TargetUnavailable
from gridhaul.transfer.inspection import not_shown
from gridhaul.transfer.naming import MARKER
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import Facts
from tests.delivered import objects_in
from tests.servers.small_disk import why_not
from tests.targets.deliveries import may_write, stage_of, written

SCRATCH = ".gridhaul-0123456789abcdef01234567-1~"
PART = ".gridhaul-0123456789abcdef01234567-1.part"
SOURCE = Attributes(mtime_ns=0, mode=0o640)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
async def target(root: Path) -> DirectoryTarget:
    found = DirectoryTarget(name="here", path=root)
    found.rely_on(await found.probe(SCRATCH, may_write))
    return found


async def put(target: DirectoryTarget, name: str) -> None:
    await written(target, "run.bin", b"data", name=name)


def swap(root: Path) -> None:
    """Put an empty directory in the place of the root, as when its disk is unmounted."""
    root.rename(root.with_name("away"))
    root.mkdir()


def swap_back(root: Path) -> None:
    root.rmdir()
    root.with_name("away").rename(root)


async def test_probe_makes_a_marker_that_explains_itself(root: Path, target: DirectoryTarget) -> None:
    lines = (root / MARKER).read_text().splitlines()
    assert (await target.probe(SCRATCH, may_write))["marker"] == lines[0]
    assert "Gridhaul" in lines[1]
    assert (root / MARKER).stat().st_mode & 0o600 == 0o600, "only a process that permissions do not stop can read it"
    assert objects_in(root) == []


async def test_workers_that_probe_at_once_see_one_marker(root: Path) -> None:
    probes = [DirectoryTarget(name="here", path=root).probe(f"{SCRATCH}{n}", may_write) for n in range(16)]
    assert len({facts["marker"] for facts in await asyncio.gather(*probes)}) == 1
    assert objects_in(root) == []


async def test_part_of_a_marker_that_a_killed_probe_left_is_written_again(root: Path) -> None:
    target = DirectoryTarget(name="here", path=root)
    (root / f"{SCRATCH}marker").write_bytes(b"0123")
    assert (await target.probe(SCRATCH, may_write))["marker"] != "0123"
    assert objects_in(root) == []


async def test_nothing_is_done_on_what_is_beneath_an_unmounted_disk(root: Path, target: DirectoryTarget) -> None:
    await put(target, PART)
    await put(target, "run.bin")
    swap(root)
    (root / "run.bin").write_bytes(b"beneath")
    for call in (
        target.find("run.bin", length=4),
        target.read_back("run.bin", length=4, sha256="", checked=not_shown),
        put(target, "other.part"),
        written(target, "run.bin", b"data", name="other.part", attributes=SOURCE),
        target.attributes("run.bin"),
        target.commit(stage_of("new.bin", name=PART)),
        target.replace(stage_of("run.bin", name=PART)),
        target.remove("run.bin"),
        anext(target.names("")),
        target.entries("", at_most=5),
        target.free_bytes(),
    ):
        with pytest.raises(TargetUnavailable, match="Is its disk mounted"):
            await call
    assert [path.name for path in objects_in(root)] == ["run.bin"]
    assert (root / "run.bin").read_bytes() == b"beneath"


async def test_disk_with_another_marker_is_another_disk(root: Path, target: DirectoryTarget) -> None:
    swap(root)
    await DirectoryTarget(name="other", path=root).probe(SCRATCH, may_write)
    with pytest.raises(TargetUnavailable, match="it has another marker"):
        await put(target, "run.bin")


async def test_new_disk_is_accepted_by_what_the_message_says(root: Path, target: DirectoryTarget) -> None:
    swap(root)
    with pytest.raises(TargetUnavailable) as caught:
        await put(target, "run.bin")
    before, _, after = caught.value.detail.partition(" into the file ")
    (root / after.split()[0]).write_text(before.split()[-1])
    await put(target, "run.bin")
    assert (root / "run.bin").read_bytes() == b"data"


async def test_same_disk_that_is_back_is_used_again(root: Path, target: DirectoryTarget) -> None:
    swap(root)
    with pytest.raises(TargetUnavailable):
        await put(target, "run.bin")
    swap_back(root)
    await put(target, "run.bin")


@pytest.mark.parametrize("there", [b"", b"somebody's notes\n", b"0123456789abcdef" * 1000])
async def test_file_in_the_place_of_the_marker_is_told(root: Path, there: bytes) -> None:
    (root / MARKER).write_bytes(there)
    target = DirectoryTarget(name="here", path=root)
    if there.startswith(b"0123"):
        assert (await target.probe(SCRATCH, may_write))["marker"] == "0123456789abcdef" * 2
        return
    with pytest.raises(TargetRefused, match="remove the file"):
        await target.probe(SCRATCH, may_write)
    assert (root / MARKER).read_bytes() == there


async def test_directory_that_takes_no_marker_is_told_how_to_get_one() -> None:
    nobody_may_write = Path("/sys")
    with pytest.raises(TargetRefused, match=f"into the file {MARKER}"):
        await DirectoryTarget(name="here", path=nobody_may_write).probe(SCRATCH, may_write)


async def test_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(TargetUnavailable, match="is it mounted"):
        await DirectoryTarget(name="here", path=tmp_path / "gone").probe(SCRATCH, may_write)
    assert objects_in(tmp_path) == []


IN_MID_STREAM = textwrap.dedent("""
    import asyncio, subprocess, sys
    from pathlib import Path
    from gridhaul.targets.directory import DirectoryTarget
    from gridhaul.transfer.errors import TargetUnavailable
    from tests.targets.deliveries import stage_of, written

    root = Path(sys.argv[1])

    class Blocks:
        def __iter__(self):
            yield b"da"
            subprocess.run(["umount", "-l", str(root)], check=True)
            yield b"ta"

        def stop(self):
            pass

    async def may_write():
        pass

    async def deliver():
        target = DirectoryTarget(name="here", path=root)
        target.rely_on(await target.probe(".gridhaul-0123456789abcdef01234567-1~", may_write))
        await written(target, "run.bin", bytes(4), name="x.part", blocks=Blocks())
        for call in (target.find("x.part", length=4), target.commit(stage_of("run.bin", name="x.part"))):
            try:
                await call
            except TargetUnavailable as error:
                assert "Is its disk mounted" in error.detail
            else:
                raise AssertionError("the disk beneath was used")
        assert list(root.iterdir()) == []

    asyncio.run(deliver())
""")


@pytest.mark.skipif(why_not() is not None, reason=f"no private mounts: {why_not()}")
def test_disk_that_is_unmounted_in_mid_stream_is_noticed_before_the_commit(root: Path) -> None:
    mount = 'mount -t tmpfs tmpfs "$0" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, str(root), sys.executable, "-c", IN_MID_STREAM, str(root)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert list(root.iterdir()) == []


async def test_what_a_killed_probe_left_is_cleared(root: Path, target: DirectoryTarget) -> None:
    (root / f"{SCRATCH}marker").write_bytes(b"0123")
    for _ in range(2):
        await target.clear(SCRATCH)
    assert objects_in(root) == []
    assert (root / MARKER).exists()


async def test_marker_that_is_there_is_adopted(root: Path, target: DirectoryTarget) -> None:
    before = (root / MARKER).read_text()
    facts = await DirectoryTarget(name="other", path=root).probe(SCRATCH, may_write)
    assert target.rely_on(facts)
    assert (root / MARKER).read_text() == before
    assert objects_in(root) == []


async def test_probe_tells_the_abilities_of_a_local_disk(target: DirectoryTarget) -> None:
    assert target.abilities == Abilities(atomic=True, exclusive=True, durable=True, resumable=True, free_space=True)


async def test_facts_from_before_abilities_keep_the_marker_and_ask_for_a_probe(
    root: Path, target: DirectoryTarget
) -> None:
    marker = (root / MARKER).read_text().split()[0]
    (root / MARKER).unlink()
    assert not target.rely_on({"marker": marker})
    with pytest.raises(TargetUnavailable, match="Is its disk mounted"):
        await target.probe(SCRATCH, may_write)


@pytest.mark.parametrize("facts", [{}, {"marker": None}, {"marker": "x"}, {"marker": 5}, {"marker": "0" * 31}])
async def test_facts_without_a_usable_marker_ask_for_a_probe(target: DirectoryTarget, facts: Facts) -> None:
    assert not target.rely_on(facts)


@pytest.mark.parametrize("facts", [{}, {"marker": "x"}, {"marker": "0" * 32}, {"marker": "0" * 32, "atomic": False}])
async def test_delivery_goes_on_with_the_facts_that_it_began_with(
    root: Path, target: DirectoryTarget, facts: Facts
) -> None:
    await put(target, PART)
    abilities = target.abilities
    assert not target.rely_on(facts)
    assert target.abilities == abilities
    await target.commit(stage_of("run.bin", name=PART))
    assert (root / "run.bin").read_bytes() == b"data"
    swap(root)
    with pytest.raises(TargetUnavailable, match="Is its disk mounted"):
        await put(target, PART)


async def test_marker_of_facts_from_before_abilities_is_asked_for(root: Path) -> None:
    target = DirectoryTarget(name="here", path=root)
    assert not target.rely_on({"marker": "0" * 32})
    with pytest.raises(TargetUnavailable, match="Is its disk mounted"):
        await target.probe(SCRATCH, may_write)
    assert objects_in(root) == []


async def test_marker_that_is_written_in_part_is_not_published(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
    with pytest.raises(TargetFull):
        await DirectoryTarget(name="here", path=root).probe(SCRATCH, may_write)
    assert not (root / MARKER).exists()


async def test_file_system_without_renames_and_links_gets_a_marker(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise TargetRefused("neither")

    monkeypatch.setattr(marker, "rename_new", refuse)
    target = DirectoryTarget(name="here", path=root)
    assert target.rely_on(await target.probe(SCRATCH, may_write))
    await put(target, "run.bin")
    assert [path.name for path in objects_in(root)] == ["run.bin"]
