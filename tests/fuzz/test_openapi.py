"""Both OpenAPI documents against the running system: no server error, no answer that is not documented."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.callers import callers
from tests.fuzz.run import run
from tests.fuzz.stand import Stand, standing

EXAMPLES = 30
SEED = 42
NAMES = [f"{service}{how}" for service in ("api", "chunk service") for how in ("", ", no token", ", wrong token")]
NAMES += ["api, another account"]


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with standing(tmp_path_factory.mktemp("fuzz")) as found:
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_documented_and_none_is_a_server_error(stand: Stand, tmp_path: Path, name: str) -> None:
    caller = next(caller for caller in callers(stand) if caller.name == name)
    outcome = run(caller, tmp_path, examples=EXAMPLES, seed=SEED, sealed_id=stand.sealed.content_id)
    assert not outcome.failed, outcome.text
