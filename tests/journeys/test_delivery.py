"""Deliveries from a path to every kind of target, with lengths around every boundary."""

import stat
from pathlib import Path

import pytest

from tests.delivered import objects_in
from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Operator, make_file, sha256_of

LENGTHS = [0, 1, MIB, 15 * MIB, 15 * MIB + 1, 16 * MIB, 40 * MIB + 7]
EVIDENCE = {"webdav": "read-back", "hashed": "remote-digest", "directory": "read-back", "http": "read-back"}


@pytest.mark.parametrize("target", EVIDENCE)
def test_files_of_every_length_arrive_with_a_receipt(
    operator: Operator, sources: Path, remotes: Remotes, target: str
) -> None:
    paths = [make_file(sources / f"{target}-{length}", length) for length in LENGTHS]
    ids = [operator.prepare(path, to=target, object_name=f"lengths/{path.name}") for path in paths]
    for path, file_id, length in zip(paths, ids, LENGTHS, strict=True):
        delivery = operator.delivered(file_id)
        file = operator.file(file_id)
        remote = remotes.of(target) / "lengths" / path.name
        assert sha256_of(remote) == sha256_of(path) == file["digests"]["sha-256"] == delivery["receipt"]["sha-256"]
        assert file["layout"] == ("inline" if length <= 15 * MIB else "gridfs")
        assert delivery["receipt"]["evidence"] == EVIDENCE[target]
        assert delivery["receipt"]["atomic_commit"] is (target != "http")
        assert delivery["receipt"]["length"] == delivery["sent_bytes"] == file["stored_bytes"] == length
        assert delivery["checked_bytes"] == 0
        assert int(delivery["receipt"]["mode"], 8) == stat.S_IMODE(path.stat().st_mode)
        assert delivery["receipt"]["mtime_kept"] is (target == "directory")
        assert (remote.stat().st_mtime_ns == path.stat().st_mtime_ns) is (target == "directory")
    left = {path.name for path in objects_in(remotes.of(target) / "lengths")}
    assert left == {path.name for path in paths}, "no temporary object stays"


def test_finalize_delivers_a_stored_file_to_a_second_target(
    operator: Operator, sources: Path, remotes: Remotes
) -> None:
    path = make_file(sources / "twice.bin", 3 * MIB)
    file_id = operator.prepare(path)
    sha256 = operator.stored(file_id)["digests"]["sha-256"]
    for target in ("directory", "webdav"):
        assert operator.finalize(file_id, sha256, target).status_code == 202
    for target in ("directory", "webdav"):
        operator.delivered(file_id, to=target)
        assert sha256_of(remotes.of(target) / "twice.bin") == sha256


def test_fail_policy_leaves_other_bytes_alone(operator: Operator, sources: Path, remotes: Remotes) -> None:
    remote = make_file(remotes.webdav / "taken.bin", 100)
    before = sha256_of(remote)
    file_id = operator.prepare(make_file(sources / "taken.bin", MIB), to="webdav")
    delivery = operator.delivery_over(file_id)
    assert (delivery["state"], delivery["error"]["code"]) == ("FAILED", "object_exists")
    assert sha256_of(remote) == before


@pytest.mark.parametrize("target", EVIDENCE)
def test_overwrite_policy_replaces(operator: Operator, sources: Path, remotes: Remotes, target: str) -> None:
    remote = make_file(remotes.of(target) / "replaced.bin", 100)
    path = make_file(sources / "replaced.bin", 2 * MIB)
    operator.delivered(operator.prepare(path, to=target, if_exists="overwrite"))
    assert sha256_of(remote) == sha256_of(path)


def test_rename_policy_finds_free_names_for_many_at_once(operator: Operator, sources: Path, remotes: Remotes) -> None:
    paths = [make_file(sources / f"renamed-{n}.bin", MIB) for n in range(4)]
    ids = [operator.prepare(path, to="webdav", object_name="renamed/run.bin", if_exists="rename") for path in paths]
    names = {operator.delivered(file_id)["receipt"]["object_name"] for file_id in ids}
    assert names == {"renamed/run.bin", *(f"renamed/run ({n}).bin" for n in (1, 2, 3))}
    arrived = {sha256_of(path) for path in (remotes.webdav / "renamed").iterdir()}
    assert arrived == {sha256_of(path) for path in paths}


def test_two_files_to_one_name_do_not_both_find_it_free(operator: Operator, sources: Path) -> None:
    paths = [make_file(sources / f"rival-{n}.bin", 4 * MIB) for n in range(2)]
    ids = [operator.prepare(path, to="webdav", object_name="rivals.bin") for path in paths]
    assert sorted(operator.delivery_over(file_id)["state"] for file_id in ids) == ["DELIVERED", "FAILED"]


def test_the_same_bytes_already_there_are_the_delivery(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "same.bin", MIB)
    first = operator.delivered(operator.prepare(path, to="directory"))
    second = operator.delivered(operator.prepare(path, to="directory"))
    assert first["receipt"]["object_name"] == second["receipt"]["object_name"]


def test_a_failed_delivery_is_queued_again_by_finalize(operator: Operator, sources: Path, remotes: Remotes) -> None:
    remote = make_file(remotes.directory / "again.bin", 5)
    path = make_file(sources / "again.bin", MIB)
    file_id = operator.prepare(path, to="directory")
    failed = operator.delivery_over(file_id)
    assert failed["error"]["code"] == "object_exists"
    remote.unlink()
    response = operator.finalize(file_id, sha256_of(path), "directory")
    assert (response.status_code, response.json()["delivery_id"]) == (202, failed["delivery_id"])
    operator.delivered(file_id)
    assert sha256_of(remote) == sha256_of(path)


def test_names_of_temporary_objects_can_not_be_asked_for(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "temporary.bin", 1)
    file_id = operator.prepare(path)
    operator.stored(file_id)
    name = f"folder/.gridhaul-{file_id}-1.part"
    response = operator.finalize(file_id, sha256_of(path), "directory", object_name=name)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_value")
