"""The command speaks its own words: no detail that can reach it speaks of HTTP, and no code keeps HTTP's words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import api
import gridhaul
import tasks
from api.account_schemas import AccountBody, AccountChanges, KeyBody, PasswordBody
from api.batch_schemas import BatchBody
from api.checks import CheckBody
from api.schemas import FinalizeBody, PrepareBody
from gridhaul.cli.words import OPTIONS, SENTENCES, told
from gridhaul.client import ApiError
from gridhaul.transfer import errors
from gridhaul.transfer.errors import GridhaulError
from tests.cli.conftest import Run
from tests.cli.scripted_api import FILE_ID, PREPARE, Answer, ScriptedApi, problem

HTTP_WORDS = re.compile(
    r"\b(DELETE|GET|POST|PUT|PATCH|HTTP|JSON|null|headers?|query|body|members?|requests?|finali[sz]e|prepare|endpoint|"
    r"instance|bearer|if_exists|if_changed|object_name|file_path|current_password|revoke_keys|deliver_to|"
    r"Idempotency-Key|Repr-Digest|content-sha256|Content-Type)\b|\?cancel|/auth/|\bstatus [0-9]{3}"
)
_DEFINED = [value for value in vars(errors).values() if isinstance(value, type)]
CLASSES = {cls.__name__: cls for cls in _DEFINED if issubclass(cls, GridhaulError)}
CALLS = {
    "status": f"GET /files/{FILE_ID}",
    "retry": f"POST /files/{FILE_ID}/retry",
    "rm": f"DELETE /files/{FILE_ID}",
    "fsck": "POST /checks",
    "check": f"GET /checks/{FILE_ID}",
}
BODIES = (PrepareBody, FinalizeBody, BatchBody, CheckBody, AccountBody, AccountChanges, KeyBody, PasswordBody)
# The command makes these itself, or leaves them out.
NEVER_SENT = {"body.length", "body.name", "body.kind", "body.mode", "body.deliver_to", "body.empty_folders"}
# The chunk service answers workers only, and the examples of the api's documentation are never raised.
NEVER_SEEN = {"chunk_service_client", "examples.py"}


def sources() -> Iterator[Path]:
    for package in (api, gridhaul, tasks):
        for path in sorted(Path(next(iter(package.__path__))).rglob("*.py")):
            if NEVER_SEEN.isdisjoint(path.parts):
                yield path


def details(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the code of each error that the file makes, and each text that its detail can hold."""
    tree = ast.parse(path.read_text())
    assigned: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    assigned.setdefault(target.id, []).append(node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLASSES and node.args:
            for text in texts(node.args[0], assigned):
                yield CLASSES[node.func.id].code, text


def texts(expression: ast.expr, assigned: dict[str, list[ast.expr]]) -> Iterator[str]:
    """Yield the texts in the expression, and those in what was assigned to its names."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        if isinstance(node, ast.Name):
            for value in assigned.get(node.id, []):
                yield from texts(value, {})


def members(body: type[BaseModel], prefix: str = "body") -> Iterator[str]:
    for name, field in body.model_fields.items():
        yield f"{prefix}.{name}"
        for inner in [field.annotation, *getattr(field.annotation, "__args__", ())]:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from members(inner, f"{prefix}.{name}")


ALL = [(path.name, code, text) for path in sources() for code, text in details(path)]


def test_details_are_found_in_every_layer() -> None:
    assert {"delete.py", "operations.py", "opened.py", "deliveries.py", "final_name.py", "json_text.py"} <= {
        name for name, _, _ in ALL
    }
    assert len(ALL) > 200


@pytest.mark.parametrize(("name", "code", "text"), ALL)
def test_detail_that_reaches_the_command_has_no_words_of_http(name: str, code: str, text: str) -> None:
    shown = told(ApiError(code=code, status=400, detail=text))
    assert not HTTP_WORDS.search(shown), name


@pytest.mark.parametrize("sentence", [*SENTENCES.values(), *OPTIONS.values()])
def test_sentence_of_the_command_has_no_words_of_http(sentence: str) -> None:
    assert not HTTP_WORDS.search(sentence)


@pytest.mark.parametrize("member", sorted({m for body in BODIES for m in members(body)} - NEVER_SENT))
def test_each_member_that_the_command_sends_has_an_option(member: str) -> None:
    refused = ApiError(code="invalid_value", status=422, detail=f"The request … {member}.", invalid=[member])
    assert told(refused) == f"The api does not accept the value of {OPTIONS[member]}."


def test_refused_name_is_told_as_its_option(api: ScriptedApi, run: Run) -> None:
    api.script(PREPARE, invalid("body.deliver_to.object_name", "body.deliver_to.target"))
    result = run("send", "/srv/run42.h5", "--to", "archive")
    told_so = "ERROR invalid_value: The api does not accept the value of --name, --to.\n"
    assert (result.exit_code, result.stderr.splitlines(keepends=True)[-1]) == (2, told_so)


def test_refused_value_of_another_version_is_told(api: ScriptedApi, run: Run) -> None:
    api.script(PREPARE, invalid("body"))
    assert "do both have the same version?" in run("send", "/srv/run42.h5", "--to", "archive").stderr


def test_retry_of_a_file_without_its_source_is_no_unknown_id(api: ScriptedApi, run: Run) -> None:
    gone = problem(404, "source_missing", "The server has no file at the path of the source.")
    api.script(f"POST /files/{FILE_ID}/retry", gone)
    result = run("retry", FILE_ID)
    assert (result.exit_code, len(api.heard)) == (1, 1)
    assert result.stderr == f"ERROR {FILE_ID} source_missing: The server has no file at the path of the source.\n"


@pytest.mark.parametrize("code", ["path_unknown", "content_unknown", "some_new_code"])
@pytest.mark.parametrize("command", CALLS)
def test_only_not_found_means_an_unknown_id(api: ScriptedApi, run: Run, command: str, code: str) -> None:
    answer = problem(404, code, "Something else is missing.")
    api.script(CALLS[command], answer)
    result = run(command, FILE_ID)
    assert (result.exit_code, len(api.heard)) == (1, 1)
    assert f" {code}: " in result.stderr


def test_reason_to_try_again_speaks_the_words_of_the_command(api: ScriptedApi, run: Run) -> None:
    again = problem(429, "too_many_requests", "Too many requests; try again later.", Retry_After="0")
    api.script("DELETE /keys/" + FILE_ID, again, Answer(body=None, status=204))
    result = run("keys", "revoke", FILE_ID)
    assert result.exit_code == 0
    assert "too_many_requests: This account, or this address, asks" in result.stderr
    assert "requests;" not in result.stderr


def invalid(*members: str) -> Answer:
    detail = f"The request is not as the documentation says: {', '.join(members)}."
    body = {"status": 422, "code": "invalid_value", "detail": detail, "invalid": members}
    return Answer(body=body, status=422, headers={"Content-Type": "application/problem+json"})
