"""Exports to get out of, with the kernel's help against that and without."""

import errno
from pathlib import Path

import pytest

from tests.source.exports import Exports, forbid_openat2, make_exports, watch_reading


@pytest.fixture(params=["openat2", "walk"])
def exports(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exports:
    if request.param == "walk":
        forbid_openat2(monkeypatch, errno.ENOSYS)
    exports = make_exports(tmp_path)
    watch_reading(exports, monkeypatch)
    return exports
