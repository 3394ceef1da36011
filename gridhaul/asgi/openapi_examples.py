"""Examples in the OpenAPI document. Without them, Swagger UI fills its forms with text that it makes from patterns."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI

from gridhaul.asgi.problems import phrase
from gridhaul.outgoing.problem_documents import MEDIA_TYPE

FORM = "application/x-www-form-urlencoded"
JsonObject = dict[str, Any]


def install(
    app: FastAPI,
    *,
    schemas: Mapping[str, JsonObject],
    parameters: Mapping[str, object],
    problems: Mapping[int, tuple[str, str]],
) -> None:
    """Add examples to the OpenAPI document of `app`.

    `schemas` has an example for each schema by its name, `parameters` a value by the parameter's name, and `problems`
    the code and the detail of an error by its status. An error that has an example of its own keeps it.
    """
    plain = app.openapi

    def with_examples() -> JsonObject:
        document = plain()
        _show_schemas(document, schemas)
        for operation in _operations(document):
            _show_parameters(operation, parameters)
            _show_problems(operation, problems)
        return document

    app.openapi = with_examples  # type: ignore[method-assign]


def _operations(document: JsonObject) -> Iterator[JsonObject]:
    for methods in document["paths"].values():
        yield from methods.values()


def _show_schemas(document: JsonObject, examples: Mapping[str, JsonObject]) -> None:
    for name, example in examples.items():
        document["components"]["schemas"][name]["examples"] = [example]
    for operation in _operations(document):
        form = operation.get("requestBody", {}).get("content", {}).get(FORM, {}).get("schema", {})
        if "$ref" in form:
            _show_fields(document["components"]["schemas"][form["$ref"].rpartition("/")[2]])


def _show_fields(form: JsonObject) -> None:
    """Give each field of a form its own example, because Swagger UI has a box for each field."""
    (example,) = form["examples"]
    for name, value in example.items():
        form["properties"][name]["examples"] = [value]


def _show_parameters(operation: JsonObject, examples: Mapping[str, object]) -> None:
    for parameter in operation.get("parameters", []):
        if parameter["name"] in examples:
            parameter["example"] = examples[parameter["name"]]


def _show_problems(operation: JsonObject, examples: Mapping[int, tuple[str, str]]) -> None:
    for status, answer in operation["responses"].items():
        problem = answer.get("content", {}).get(MEDIA_TYPE, {"example": None})
        if "example" not in problem:
            problem["example"] = problem_example(int(status), *examples[int(status)])


def problem_example(status: int, code: str, detail: str) -> JsonObject:
    """Return a problem document for the OpenAPI document."""
    return {
        "type": f"/problems/{code}",
        "title": phrase(status),
        "status": status,
        "detail": detail,
        "instance": "urn:uuid:0b5e3c1e-8f5c-4c38-9d0a-6f1b2a7c9e44",
        "code": code,
    }
