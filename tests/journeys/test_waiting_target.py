"""A target that is away for longer than a few attempts: its deliveries wait, keep their names, and arrive later."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Operator, make_file, sha256_of, wait_for

ATTEMPTS = 4  # more of them would make the test wait for longer pauses


@contextmanager
def away(target: Path) -> Iterator[None]:
    """Move the target's directory away for the time of the block, as if its disk were not mounted."""
    elsewhere = target.with_name(f"{target.name}-away")
    target.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(target)


def waiting(operator: Operator, file_id: str, *, attempts: int) -> dict[str, Any]:
    """Wait until so many attempts at the file's delivery have failed, and return the delivery, which waits."""

    def look() -> dict[str, Any] | None:
        found = operator.deliveries(file_id)
        enough = found and found[0]["attempts"] >= attempts and found[0]["next_attempt_at"]
        return found[0] if enough else None

    return wait_for(look, seconds=60, what=f"{attempts} attempts at the delivery have failed")


def test_delivery_waits_for_its_target_whatever_is_killed_and_arrives_by_its_name(
    operator: Operator, sources: Path, remotes: Remotes
) -> None:
    path, rival = make_file(sources / "patient.bin", 2 * MIB), make_file(sources / "rival.bin", MIB)
    with away(remotes.directory):
        file_id = operator.prepare(path, to="directory")
        seen = waiting(operator, file_id, attempts=ATTEMPTS)
        assert (seen["state"], seen["waiting"]["code"]) == ("QUEUED", "target_unavailable")
        assert seen["waiting_since"] < seen["updated_at"] < seen["next_attempt_at"]
        rival_id = operator.prepare(rival, to="directory", object_name="patient.bin")
        busy = waiting(operator, rival_id, attempts=1)
        assert busy["error"]["code"] == "object_name_busy"
        for child in psutil.Process(operator.system.pid("worker_small")).children(recursive=True):
            child.kill()
        again = operator.http.post(f"/deliveries/{seen['delivery_id']}/retry")
        assert again.status_code == 200, again.text
        waited = waiting(operator, file_id, attempts=seen["attempts"] + 1)
        assert (waited["state"], waited["waiting_since"]) == ("QUEUED", seen["waiting_since"])
    operator.http.post(f"/deliveries/{seen['delivery_id']}/retry")
    receipt = operator.delivered(file_id)["receipt"]
    assert sha256_of(remotes.directory / "patient.bin") == sha256_of(path) == receipt["sha-256"]
    late = operator.delivery_over(rival_id)
    assert (late["state"], late["error"]["code"]) == ("FAILED", "object_exists")
