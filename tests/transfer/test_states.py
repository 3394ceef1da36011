from gridhaul.transfer.model import Destination, IfExists, NewDelivery, Queue, RecordId
from gridhaul.transfer.states import BYTES_GONE, DELETABLE, OPEN, OVER, STORABLE, DeliveryState, FileState


def test_each_file_state_is_stored_deleted_or_a_way_of_deleting() -> None:
    assert not STORABLE & DELETABLE
    left = {FileState.RECEIVING, FileState.PAUSED, FileState.DELETING} | BYTES_GONE
    assert set(FileState) - STORABLE - DELETABLE == left


def test_each_delivery_state_is_open_or_over() -> None:
    assert not OPEN & OVER
    assert set(DeliveryState) == OPEN | OVER


def _delivery(file_id: str = "a" * 24, target: str = "archive", name: str = "run.h5", **changes: str) -> NewDelivery:
    policy = IfExists(changes.get("if_exists", "fail"))
    to = Destination(target=target, object_name=name, if_exists=policy)
    return NewDelivery(
        file_id=RecordId(file_id), owner="o", destination=to, length=1, sha256="ab" * 32, queue=Queue.SMALL
    )


def test_delivery_has_the_same_id_for_the_same_file_target_and_name() -> None:
    assert _delivery().id == _delivery(if_exists="overwrite").id
    assert len({_delivery().id, _delivery("b" * 24).id, _delivery(target="b").id, _delivery(name="b").id}) == 4
    assert _delivery(target="a", name="bc").id != _delivery(target="ab", name="c").id


def test_delivery_id_has_24_hex_digits() -> None:
    assert len(bytes.fromhex(_delivery().id)) == 12
