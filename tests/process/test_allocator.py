"""`keep_freed_memory`: a process that handles chunks uses freed memory again, which its page faults show."""

import subprocess
import sys

CHUNKS = """
import resource
from gridhaul.process.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

keep_freed_memory()
held = [b"x" * (1 << 20) for _ in range(16)]
del held
before = faults()
for _ in range(20):
    held = [b"x" * (1 << 20) for _ in range(16)]
    del held
print(faults() - before)
"""


def test_memory_of_chunks_is_used_again() -> None:
    done = subprocess.run([sys.executable, "-c", CHUNKS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 320, "less than one page fault a chunk; without keep_freed_memory, a chunk costs 256"
