"""A browser with the page of the api open: it keeps cookies, and says where its requests come from."""

from dataclasses import dataclass, field
from http.cookies import Morsel, SimpleCookie

import httpx2

from gridhaul.storage.accounts.accounts import MongoAccounts
from tests.api.house import PASSWORD, House

OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


@dataclass(kw_only=True)
class Browser:
    """A browser's cookie of the session, which it sends with each request, and replaces by that of an answer."""

    house: House
    fetch: dict[str, str] = field(default_factory=OWN_PAGE.copy)  # the fields that say which page asks
    held: dict[str, str] = field(default_factory=dict)

    @property
    def accounts(self) -> MongoAccounts:
        return self.house.accounts

    async def sign_in(self, password: str = PASSWORD, username: str = "alice") -> httpx2.Response:
        return await self.send("POST", "/auth/session", data={"username": username, "password": password})

    async def refresh(self) -> httpx2.Response:
        return await self.send("POST", "/auth/session/refresh")

    async def sign_out(self) -> httpx2.Response:
        return await self.send("DELETE", "/auth/session")

    async def send(self, method: str, path: str, *, data: dict[str, str] | None = None) -> httpx2.Response:
        """Send the request, and keep the cookie of its answer."""
        answer = await self.send_in_vain(method, path, data=data)
        for cookie in cookies_of(answer):
            if cookie.value:
                self.held[cookie.key] = cookie.value
            else:
                self.held.pop(cookie.key, None)
        return answer

    async def send_in_vain(self, method: str, path: str, *, data: dict[str, str] | None = None) -> httpx2.Response:
        """Send the request, and lose its answer."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.held.items())
        headers = {**self.fetch, **({"Cookie": cookies} if cookies else {})}
        answer = await self.house.http.request(method, path, data=data, headers=headers)
        self.house.http.cookies.clear()
        return answer


def cookies_of(answer: httpx2.Response) -> list[Morsel[str]]:
    """Return the cookies that the answer sets or clears."""
    return [morsel for line in answer.headers.get_list("Set-Cookie") for morsel in SimpleCookie(line).values()]


def cookie_of(answer: httpx2.Response) -> Morsel[str]:
    """Return the only cookie that the answer sets or clears."""
    (cookie,) = cookies_of(answer)
    return cookie
