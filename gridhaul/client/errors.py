"""The errors that the client raises.

ClientError
├── ApiError         the api refused the request, and says why
├── ApiUnreachable   the api did not answer within the client's patience
└── ApiInsecure      no secure connection to the api can be made
"""

from collections.abc import Sequence

UNEXPECTED_ANSWER = "unexpected_answer"  # an ApiError has this code if no api wrote the answer


class ClientError(Exception):
    """The request did not succeed."""

    may_be_done = False  # whether the api may have carried out the request all the same


class ApiError(ClientError):
    """A refusal by the api (RFC 9457). `code` is stable; `detail` says what happened and what to do.

    `invalid` names the members and parameters that the api refuses, such as `body.deliver_to.object_name`; the api
    names none unless a value does not have the documented form.

    If the answer did not come from an api of Gridhaul, `code` is UNEXPECTED_ANSWER, and `status` says nothing about any
    record.
    """

    def __init__(
        self,
        *,
        code: str,
        status: int,
        detail: str,
        retry_after_seconds: float | None = None,
        invalid: Sequence[str] = (),
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.status = status
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        self.invalid = tuple(invalid)
        self.may_be_done = status >= 500


class ApiUnreachable(ClientError):
    """No answer arrived."""

    def __init__(self, message: str, *, may_be_done: bool) -> None:
        super().__init__(message)
        self.may_be_done = may_be_done


class ApiInsecure(ClientError):
    """The api's certificate is not accepted, or the api does not speak TLS. The client does not retry."""
