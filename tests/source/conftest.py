"""The fixture `exports`, with openat2 by the kernel and with the walk that replaces openat2 on old kernels."""

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
