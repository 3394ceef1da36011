"""The bytes that a trace has counted."""

from pathlib import Path

from tests.faults.traced import returned

TRACE = """\
11 pwrite64(5</remote/.gridhaul-a-1.part>, ""..., 1048576, 0) = 1048576 (DELAYED)
12 pwrite64(6</remote/.gridhaul-b-1.part>, ""..., 78, 0) = 78
11 pwrite64(5</remote/.gridhaul-a-1.part>, ""..., 1048576, 1048576 <unfinished ...>
13 pwrite64(7</remote/.gridhaul-a-1.part>, ""..., 1048576, 1048576 <unfinished ...>
11 +++ killed by SIGKILL +++
13 <... pwrite64 resumed>) = 4096 (DELAYED)
13 pwrite64(7</remote/.gridhaul-a-1.part>, ""..., 10, 9) = -1 ENOSPC (No space left on device)
"""


def test_calls_of_one_file_are_added_without_those_of_one_thread(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(TRACE)
    assert returned(log, of="-a-", but={11}) == 4096
    assert returned(log, of="-a-", but=()) == 1048576 + 4096
