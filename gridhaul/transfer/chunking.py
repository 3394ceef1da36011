"""How a content is cut: 1 MiB chunks, numbered from 0, the last one shorter."""

CHUNK_BYTES = 1 << 20
SEGMENT_MAX_CHUNKS = 16
SEGMENT_MAX_BYTES = SEGMENT_MAX_CHUNKS * CHUNK_BYTES
MANIFEST_PAGE_CHUNKS = 1024


def chunk_count(length_bytes: int) -> int:
    """Return the number of chunks of a content of `length_bytes`; 0 for an empty content."""
    return -(-length_bytes // CHUNK_BYTES)


def chunk_length(length_bytes: int, n: int) -> int:
    """Return the length in bytes of chunk `n` of a content of `length_bytes`."""
    return min(CHUNK_BYTES, length_bytes - n * CHUNK_BYTES)


def chunks_of_range(start: int, stop: int) -> range:
    """Return the numbers of the chunks that hold the bytes from `start` to `stop` (exclusive) of a content."""
    return range(start // CHUNK_BYTES, chunk_count(stop))


def page_count(length_bytes: int) -> int:
    """Return the number of pages in the manifest of a content of `length_bytes`; 0 for an empty one."""
    return -(-chunk_count(length_bytes) // MANIFEST_PAGE_CHUNKS)


def page_chunk_count(length_bytes: int, page: int) -> int:
    """Return the number of chunks on page `page` (from 0) of the manifest of a content of `length_bytes`."""
    return min(MANIFEST_PAGE_CHUNKS, chunk_count(length_bytes) - page * MANIFEST_PAGE_CHUNKS)
