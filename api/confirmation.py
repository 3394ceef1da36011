"""Confirmation by the caller's password, without which an expiring credential gives no access that lasts longer."""

from fastapi import Request
from pydantic import SecretStr

from api.dependencies import Service
from api.password_attempts import address_of
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import Forbidden

MISSING = (
    "This gives access that lasts longer than the token or key of the request. Send the password of the account that "
    "the token or key belongs to as `current_password` (the command: --username), or use an API key without an end."
)


async def require_password(given: SecretStr | None, *, caller: Caller, request: Request, service: Service) -> None:
    """Raise Forbidden unless `given` is the password of the caller's account, and count a wrong one as a failed login.

    Raises TooManyRequests.
    """
    if caller.account.password_hash is None:
        raise Forbidden("This account has no password. An admin may give it one.")
    if given is None:
        raise Forbidden(MISSING)
    password, address = given.get_secret_value(), address_of(request)
    if not await service.password_attempts.is_right(password, caller.account, address=address):
        raise Forbidden("The current password is wrong.")
