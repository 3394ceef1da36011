"""Folders for fixtures that serve several tests."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

NewFolder = Callable[[str], AbstractContextManager[Path]]
"""Makes a folder with a name like this one. The context removes it at its end, unless a test failed meanwhile."""
