"""The limit of open files, in a process of its own."""

import subprocess
import sys

RAISE = """
import resource
from gridhaul.process.open_files import open_file_limit, raise_open_file_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200))
assert open_file_limit() == 64
raise_open_file_limit()
raise_open_file_limit()
assert open_file_limit() == 200
"""


def test_limit_is_raised_as_far_as_the_process_may() -> None:
    subprocess.run([sys.executable, "-c", RAISE], check=True, timeout=30)
