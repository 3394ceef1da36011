"""Problem documents (RFC 9457) of Gridhaul's services, as clients read them."""

import httpx2
from pydantic import BaseModel, ValidationError

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """The members of a problem document that clients need."""

    status: int
    code: str
    detail: str
    invalid: tuple[str, ...] = ()


def read_problem(response: httpx2.Response) -> Problem | None:
    """Return the problem document that the response holds.

    Return None if a service of Gridhaul did not write the response: proxies and other programs answer without `code`.
    """
    if media_type(response) != MEDIA_TYPE:
        return None
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        return None
    return problem if problem.status == response.status_code else None


def media_type(response: httpx2.Response) -> str:
    """Return the media type of the response's body without parameters, in lower case; "" if the response has none."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
