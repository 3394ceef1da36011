"""Both OpenAPI documents against the running system: it gives no server error, and only documented answers."""

from collections.abc import Iterator

import pytest

from tests.folders import NewFolder
from tests.fuzz.callers import callers
from tests.fuzz.run import run
from tests.fuzz.stand import Stand, standing

EXAMPLES = 20
SEED = 42


@pytest.fixture(scope="module")
def stand(new_folder: NewFolder) -> Iterator[Stand]:
    with new_folder("fuzz") as folder, standing(folder) as found:
        yield found


@pytest.mark.parametrize("caller", ["", ", another account", ", no token", ", wrong token"])
def test_every_answer_of_the_api_is_documented_and_no_server_error(stand: Stand, caller: str) -> None:
    require_documented(stand, f"api{caller}")


@pytest.mark.parametrize("caller", ["", ", no token", ", wrong token"])
def test_every_answer_of_the_chunk_service_is_documented_and_no_server_error(stand: Stand, caller: str) -> None:
    require_documented(stand, f"chunk service{caller}")


def require_documented(stand: Stand, name: str) -> None:
    (caller,) = (caller for caller in callers(stand) if caller.name == name)
    outcome = run(caller, examples=EXAMPLES, seed=SEED)
    assert not outcome.admitted
    assert not outcome.locked_out
    assert not outcome.failed, outcome.text
