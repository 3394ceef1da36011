"""Confirmation by the password of the caller's account, before an expiring token or key gives lasting access."""

from fastapi import Request
from pydantic import SecretStr

from api.dependencies import Service
from api.password_attempts import address_of
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import Forbidden, PasswordNeeded

NOTHING_TO_CONFIRM_WITH = (
    "Your account has no password to confirm this with. Use an API key without an end, or let an admin set a password."
)
MISSING = (
    "This request gives access that may last longer than your token or key. Send the password of your account as "
    "`current_password`, or use an API key without an end."
)


async def require_password(given: SecretStr | None, *, caller: Caller, request: Request, service: Service) -> None:
    """Raise Forbidden unless `given` is the password of the caller's account.

    A wrong password counts as a failed login. Raises TooManyRequests after too many failed logins from the address.
    """
    if caller.account.password_hash is None:
        raise Forbidden(NOTHING_TO_CONFIRM_WITH)
    if given is None:
        raise PasswordNeeded(MISSING)
    password, address = given.get_secret_value(), address_of(request)
    if not await service.password_attempts.is_right(password, caller.account, address=address):
        raise Forbidden("The current password is wrong.")
