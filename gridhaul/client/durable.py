"""Directories whose entries outlive a crash of the machine."""

import os
from pathlib import Path


def make_durable(directory: Path) -> None:
    """Wait until the disk has the names in the directory. The flush of a file does not flush its name.

    Raises OSError.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
