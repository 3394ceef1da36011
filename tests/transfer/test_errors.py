import importlib
import re
from collections import defaultdict

import pytest

from gridhaul.transfer import errors
from gridhaul.transfer.errors import GridhaulError, InternalError, LeaseLost, Patience, StopRequested, by_code

ALL = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, GridhaulError)]
OF_THEIR_OWN = [cls for cls in ALL if cls is not InternalError]


def test_no_two_classes_share_a_code_but_the_internal_ones() -> None:
    by_its_code = defaultdict(list)
    for cls in ALL:
        by_its_code[cls.code].append(cls)
    shared = [classes for classes in by_its_code.values() if len(classes) > 1]
    assert shared == [[GridhaulError, InternalError]]


@pytest.mark.parametrize("cls", OF_THEIR_OWN, ids=lambda cls: cls.code)
def test_class_is_found_by_its_code(cls: type[GridhaulError]) -> None:
    assert by_code(cls.code) is cls


def test_unknown_code_is_no_class() -> None:
    assert by_code("none_such") is None


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_class_fits_a_problem_document(cls: type[GridhaulError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", cls.code)
    assert 400 <= cls.status <= 599
    assert cls.retryable or cls.patience is Patience.ATTEMPTS, "only a retryable error can be waited for"


def test_detail_and_delay_are_kept() -> None:
    error = GridhaulError("Wait a little.", retry_after_seconds=2.5)
    assert (str(error), error.detail, error.retry_after_seconds) == ("Wait a little.", "Wait a little.", 2.5)


@pytest.mark.parametrize("cls", [LeaseLost, StopRequested])
def test_what_is_no_failure_is_no_error_of_ours(cls: type[Exception]) -> None:
    assert not issubclass(cls, GridhaulError)


def test_every_class_is_defined_in_one_module() -> None:
    importlib.import_module("gridhaul.chunk_service_client.chunk_client")
    importlib.import_module("gridhaul.source.opened")
    assert {cls.__module__ for cls in _below(GridhaulError)} == {"gridhaul.transfer.errors"}


def _below(cls: type[GridhaulError]) -> list[type[GridhaulError]]:
    return [cls, *(found for sub in cls.__subclasses__() for found in _below(sub))]
