"""The notice that the server stops, for answers that would go on for ever, and for whose end uvicorn would wait."""

from collections.abc import Callable

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

STOPPING = "gridhaul.stopping"  # the extension of the ASGI scope with the function `at_stop`

AtStop = Callable[[], None]


def call_at_stop(scope: Scope, end: AtStop) -> None:
    """Let the server call `end` when it stops, or now if it stops already.

    A server whose HTTP class is not that of Gridhaul gives no notice, and ends the request after its graceful time.
    """
    extension = scope.get("extensions", {}).get(STOPPING)
    if extension is not None:
        extension["at_stop"](end)


class StopNotice(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which tells the current request of its connection that the server stops."""

    _at_stop: AtStop | None = None
    _stops = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._at_stop = None
        self.scope.setdefault("extensions", {})[STOPPING] = {"at_stop": self._call_at_stop}

    def shutdown(self) -> None:
        self._stops = True
        super().shutdown()
        if self._at_stop is not None:
            self._at_stop()

    def on_response_complete(self) -> None:
        self._at_stop = None
        super().on_response_complete()

    def _call_at_stop(self, end: AtStop) -> None:
        if self._stops:
            end()
        else:
            self._at_stop = end
