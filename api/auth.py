"""Types for a route's caller. Each names the scope that the route needs, which the OpenAPI document shows too."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.openapi.models import OAuth2, OAuthFlowPassword, OAuthFlows
from fastapi.security import HTTPBearer, SecurityScopes
from fastapi.security.base import SecurityBase

from gridhaul.transfer.access import Caller, Scope

SCOPES = {
    Scope.PREPARE: "register files, and stop or retry storing them",
    Scope.FINALIZE: "deliver files, and stop or retry deliveries",
    Scope.READ: "see files, deliveries and contents",
    Scope.DELETE: "delete files",
    Scope.ADMIN: "see files and deliveries of all accounts, check what is stored, manage accounts",
}

_key = HTTPBearer(scheme_name="API key", description="An API key; `gridhaul keys create` makes one", auto_error=False)


class _Login(SecurityBase):
    """A dependency that returns the caller, and describes the login with a password in the OpenAPI document.

    The dependency `_key` describes API keys as the alternative.
    """

    def __init__(self) -> None:
        flow = OAuthFlowPassword(
            tokenUrl="/auth/token/",
            refreshUrl="/auth/token/",
            scopes={scope.value: text for scope, text in SCOPES.items()},
        )
        self.model = OAuth2(flows=OAuthFlows(password=flow))
        self.scheme_name = "Login"

    async def __call__(
        self, request: Request, needed: SecurityScopes, _by_key: Annotated[object, Depends(_key)]
    ) -> Caller:
        """Return the caller that `api.authentication` found. Raises Forbidden without the scopes of the route."""
        found: Caller = request.state.caller
        found.require(*map(Scope, needed.scopes))
        return found


caller = _Login()
AnyCaller = Annotated[Caller, Security(caller)]
Preparing = Annotated[Caller, Security(caller, scopes=[Scope.PREPARE])]
Finalizing = Annotated[Caller, Security(caller, scopes=[Scope.FINALIZE])]
Reading = Annotated[Caller, Security(caller, scopes=[Scope.READ])]
Deleting = Annotated[Caller, Security(caller, scopes=[Scope.DELETE])]
Administering = Annotated[Caller, Security(caller, scopes=[Scope.ADMIN])]
