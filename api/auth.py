"""What a route asks of its caller: the scope it names, which its description shows too."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer, OAuth2PasswordBearer, SecurityScopes

from gridhaul.transfer.access import Caller, Scope

SCOPES = {
    Scope.PREPARE: "register files, and stop or retry storing them",
    Scope.FINALIZE: "deliver files, and stop or retry deliveries",
    Scope.READ: "see files, deliveries and contents",
    Scope.DELETE: "delete files",
    Scope.ADMIN: "see everybody's, check what is stored, manage accounts",
}

_login = OAuth2PasswordBearer(
    tokenUrl="/auth/token/",
    refreshUrl="/auth/token/",
    scopes={scope.value: text for scope, text in SCOPES.items()},
    scheme_name="Login",
    auto_error=False,
)
_key = HTTPBearer(scheme_name="API key", description="`gridhaul keys create` makes one", auto_error=False)


async def caller(
    request: Request,
    needed: SecurityScopes,
    _by_login: Annotated[object, Depends(_login)],
    _by_key: Annotated[object, Depends(_key)],
) -> Caller:
    """Who was let in by `api.authentication`. Raises Forbidden without the scopes that the route names."""
    found: Caller = request.state.caller
    found.require(*map(Scope, needed.scopes))
    return found


AnyCaller = Annotated[Caller, Security(caller)]
Preparing = Annotated[Caller, Security(caller, scopes=[Scope.PREPARE])]
Finalizing = Annotated[Caller, Security(caller, scopes=[Scope.FINALIZE])]
Reading = Annotated[Caller, Security(caller, scopes=[Scope.READ])]
Deleting = Annotated[Caller, Security(caller, scopes=[Scope.DELETE])]
Administering = Annotated[Caller, Security(caller, scopes=[Scope.ADMIN])]
