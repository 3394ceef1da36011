"""Folders for fixtures that serve several tests."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

NewFolder = Callable[[str], AbstractContextManager[Path]]
"""Make a folder with a name like this one, and remove it at the end, unless a test failed meanwhile."""
