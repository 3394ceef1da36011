"""Reads a small source at once, in the calling thread."""

from contextlib import closing

from gridhaul.source.opened import Source, is_settled
from gridhaul.source.roots import Roots
from gridhaul.transfer.chunking import chunk_count
from gridhaul.transfer.errors import SourceChanged
from gridhaul.transfer.model import Seal, Segment
from gridhaul.transfer.origins import SourceIdentity


def read_small(path: str, roots: Roots, registered: SourceIdentity) -> tuple[Segment, Seal]:
    """Return all chunks of the registered source, and its seal. Raises the source errors.

    Raises SourceChanged also if the source was only touched: only further readings (`source/stability.py`) can tell
    whether its bytes changed.
    """
    with closing(Source.open_here(path, roots)) as source:
        opened = source.identity()
        settled = is_settled(opened)
        source.require(registered)
        reader = source.read(registered)
        segment = reader.segment(0, chunk_count(registered.size))
        if not settled or source.identity() != opened:
            raise SourceChanged("The source was touched just now; read it again.")
        return segment, reader.seal()
