"""The api with the account `alice`, who logs in with a password."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx2

from gridhaul.storage.accounts.accounts import MongoAccounts

PASSWORD = "correct horse battery"
OTHER = "another horse battery"
WRONG_MOST = 3


@dataclass(frozen=True, kw_only=True)
class House:
    http: httpx2.AsyncClient
    accounts: MongoAccounts

    async def log_in(self, password: str = PASSWORD, username: str = "alice", **more: str) -> httpx2.Response:
        return await self.http.post("/auth/token/", data={"username": username, "password": password, **more})

    async def refresh(self, token: str, **more: str) -> httpx2.Response:
        return await self.http.post(
            "/auth/token/", data={"grant_type": "refresh_token", "refresh_token": token, **more}
        )

    async def make_key(self, token: str, **more: object) -> httpx2.Response:
        return await self.http.post("/keys", json={"name": "k", **more}, headers=bearer(token))

    async def key(self) -> str:
        """Return a new key of the account."""
        login = (await self.log_in()).json()
        return str((await self.make_key(login["access_token"], current_password=PASSWORD)).json()["key"])

    async def look(self, token: str, path: str = "/account") -> int:
        """Return the status of a GET of the path with the token."""
        return (await self.http.get(path, headers=bearer(token))).status_code


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}
