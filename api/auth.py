"""Who may call: the operator's token guards everything."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.dependencies import Parts
from gridhaul.transfer.digest import same_secret
from gridhaul.transfer.errors import Unauthorized

OPERATOR = "operator"

_bearer = HTTPBearer(auto_error=False, description="The operator's token")


async def caller(parts: Parts, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    """The caller's name, who owns what is made. Raises Unauthorized."""
    if credentials is None or not same_secret(credentials.credentials, parts.operator_token):
        raise Unauthorized("A valid bearer token is needed.")
    return OPERATOR


Caller = Annotated[str, Depends(caller)]
