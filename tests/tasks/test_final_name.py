"""The final name at a directory where a folder has the name that was asked for."""

import pytest

from gridhaul.transfer.model import IfExists
from gridhaul.transfer.states import DeliveryState
from tests.tasks.delivery_bench import NAME, Bench, code_of


async def test_delivery_passes_a_folder_over_under_rename(bench: Bench) -> None:
    (bench.disk / NAME).mkdir()
    delivery = await bench.deliver(b"new", "disk", if_exists=IfExists.RENAME)
    assert (delivery.state, delivery.final_name) == (DeliveryState.DELIVERED, "run (1).h5")
    assert (bench.disk / "run (1).h5").read_bytes() == b"new"
    assert not list((bench.disk / NAME).iterdir())


@pytest.mark.parametrize("if_exists", [IfExists.FAIL, IfExists.OVERWRITE])
async def test_delivery_ends_at_a_folder_without_rename(bench: Bench, if_exists: IfExists) -> None:
    (bench.disk / NAME).mkdir()
    delivery = await bench.deliver(b"new", "disk", if_exists=if_exists)
    assert (delivery.state, code_of(delivery), delivery.attempts) == (DeliveryState.FAILED, "not_an_object", 1)
    assert (bench.disk / NAME).is_dir()
