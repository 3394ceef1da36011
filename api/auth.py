"""What a route asks of its caller: the scope it names, which its description shows too."""

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
    Scope.ADMIN: "see everybody's, check what is stored, manage accounts",
}

_key = HTTPBearer(scheme_name="API key", description="`gridhaul keys create` makes one", auto_error=False)


class _Login(SecurityBase):
    """The caller, and how the description says that one logs in; a key does as well."""

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
        """Who was let in by `api.authentication`. Raises Forbidden without the scopes that the route names."""
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
