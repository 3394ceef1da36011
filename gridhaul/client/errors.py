"""What the client raises.

ClientError
├── ApiError         the api refused, and says why
├── ApiUnreachable   it did not answer within the client's patience
└── ApiInsecure      no secure connection to it can be made
"""


class ClientError(Exception):
    """The request did not succeed."""

    may_be_done = False  # whether the api may have done it all the same


class ApiError(ClientError):
    """The api's answer (RFC 9457). `code` is stable, `detail` says what happened and what to do."""

    def __init__(self, *, code: str, status: int, detail: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.status = status
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        self.may_be_done = status >= 500


class ApiUnreachable(ClientError):
    """No answer came."""

    def __init__(self, message: str, *, may_be_done: bool) -> None:
        super().__init__(message)
        self.may_be_done = may_be_done


class ApiInsecure(ClientError):
    """Its certificate is not accepted, or it does not speak TLS. Not tried again."""
