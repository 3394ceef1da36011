"""The examples in the OpenAPI document: each is there, is valid, and is something that a person would send."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from api.app import create_app
from gridhaul.outgoing.problem_documents import MEDIA_TYPE

GENERATED = re.compile(r"^(string|text|additionalProp\d|)$|\\x|\[\^|[^\x20-\x7e…]")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app().openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def schemas_of(messages: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Yield the name of each schema that a body or an answer refers to."""
    for message in messages:
        for media_type, content in message.get("content", {}).items():
            if "$ref" in content["schema"] and media_type != MEDIA_TYPE:
                yield content["schema"]["$ref"].rpartition("/")[2]


def bodies(document: dict[str, Any]) -> set[str]:
    return set(schemas_of(operation.get("requestBody", {}) for _, operation in operations(document)))


def answers(document: dict[str, Any]) -> set[str]:
    return set(
        schemas_of(answer for _, operation in operations(document) for answer in operation["responses"].values())
    )


def texts(value: Any) -> Iterator[str]:
    """Yield every text in an example."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def validate(document: dict[str, Any], schema: dict[str, Any], example: Any) -> None:
    whole = {**schema, "components": document["components"]}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(example)


def test_every_body_and_every_answer_has_an_example_that_its_schema_allows(document: dict[str, Any]) -> None:
    names = bodies(document) | answers(document)
    assert {"PrepareBody", "FinalizeBody", "TokenForm", "FileView", "DeliveryView"} <= names
    for name in names:
        (example,) = document["components"]["schemas"][name]["examples"]
        validate(document, {"$ref": f"#/components/schemas/{name}"}, example)


def test_every_answer_shows_all_members(document: dict[str, Any]) -> None:
    for name in answers(document):
        schema = document["components"]["schemas"][name]
        assert list(schema["examples"][0]) == list(schema["properties"]), name


def test_every_required_parameter_has_an_example_that_its_schema_allows(document: dict[str, Any]) -> None:
    for where, operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert "example" in parameter or not parameter["required"], where
            if "example" in parameter:
                validate(document, parameter["schema"], parameter["example"])


def test_every_error_shows_its_own_status_and_code(document: dict[str, Any]) -> None:
    for _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if problem := answer.get("content", {}).get(MEDIA_TYPE):
                validate(document, problem["schema"], problem["example"])
                assert problem["example"]["status"] == int(status)


def test_no_body_is_cluttered_with_nulls_and_no_text_looks_generated(document: dict[str, Any]) -> None:
    for name in bodies(document) | answers(document):
        (example,) = document["components"]["schemas"][name]["examples"]
        assert name not in bodies(document) or None not in example.values()
        assert not [text for text in texts(example) if GENERATED.search(text)], name


def test_fields_of_a_form_have_their_examples(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["TokenForm"]["properties"]
    assert fields["username"]["examples"] == ["alice"]
