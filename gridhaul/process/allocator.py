"""How the C library's malloc serves processes that handle chunks of a mebibyte all the time."""

import ctypes

# The names and numbers of mallopt(3).
M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8

LARGEST_BYTES = 32 << 20  # what mallopt takes at most
KEPT_BYTES = 128 << 20
GROWTH_BYTES = 8 << 20


def keep_freed_memory() -> None:
    """Use freed memory again, instead of giving each chunk's pages back to the kernel and taking new ones.

    New pages cost more than what is done with the chunk: 250 page faults a mebibyte. One arena, because chunks that
    were allocated in one thread leave holes in its arena which the others cannot fill. Nothing, without mallopt.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(M_ARENA_MAX, 1)
    mallopt(M_MMAP_THRESHOLD, LARGEST_BYTES)
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    mallopt(M_TOP_PAD, GROWTH_BYTES)
