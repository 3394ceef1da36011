"""An object that vanished from its target: the check marks its delivery, a retry delivers again, the history stays."""

from pathlib import Path

import pytest

from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Operator, make_file, sha256_of
from tests.journeys.test_fsck import gridhaul


@pytest.mark.parametrize("target", ["directory", "http", "webdav"])
def test_lost_object_is_found_marked_and_delivered_again(
    operator: Operator, sources: Path, remotes: Remotes, target: str
) -> None:
    source = make_file(sources / f"lost-{target}.bin", 3 * MIB + 1)
    file_id = operator.prepare(source, to=target)
    first = operator.delivered(file_id)
    retry = ("retry", first["delivery_id"])
    assert gridhaul(operator, *retry)[0] == 1, "nothing is known to be wrong yet"
    placed = remotes.of(target) / source.name
    placed.unlink()

    code, output = gridhaul(operator, "fsck", file_id)
    assert code == 3
    assert output.startswith(f"object_missing file {file_id} delivery {first['delivery_id']} target {target}")
    assert "gridhaul retry DELIVERY" in output
    status = gridhaul(operator, "status", file_id)[1]
    assert f"gridhaul retry {first['delivery_id']} delivers it again" in status

    assert gridhaul(operator, *retry)[0] == 0
    second = operator.delivered(file_id)
    assert (second["delivery_id"], second["object_error"]) == (first["delivery_id"], None)
    assert second["former_receipts"] == [
        {**first["receipt"], "object_error": {"code": "object_missing", "detail": "No object is under the name."}}
    ]
    assert sha256_of(placed) == sha256_of(source)
    code, output = gridhaul(operator, "fsck", file_id, "--read-targets")
    assert code == 0
    assert output.endswith("checked; 1 object at targets; nothing is wrong\n")


def test_two_files_of_the_same_bytes_under_one_name_both_lose_their_object(
    operator: Operator, sources: Path, remotes: Remotes
) -> None:
    first = make_file(sources / "twice-1.bin", MIB)
    second = sources / "twice-2.bin"
    second.write_bytes(first.read_bytes())
    file_ids = [operator.prepare(path, to="directory", object_name="claimed-twice.bin") for path in (first, second)]
    for file_id in file_ids:
        operator.delivered(file_id)
    (remotes.directory / "claimed-twice.bin").unlink()
    for file_id in file_ids:
        code, output = gridhaul(operator, "fsck", file_id, "--read-targets")
        assert (code, "object_missing" in output) == (3, True)
