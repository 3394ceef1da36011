"""The insides of libraries that code of ours subclasses or replaces. A new version that changes one of them fails here.

Such a failure says: read the library's change, adapt the named module of ours, run its tests, then write down the new
fingerprint. The upper bounds in pyproject.toml keep such a version out until then.
"""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import httpcore2
import httpx2
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from celery.worker.consumer import Consumer
from kombu.transport import virtual
from kombu.transport.redis import Channel, MultiChannelPoller
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern
from redis import Redis
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


def fingerprint(inside: Callable[..., Any]) -> str:
    """Return a digest of the code's syntax tree: comments and white space do not count."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inside)))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


HEAD, BODY = "gridhaul/asgi/connection_limits.py", "gridhaul/asgi/body_buffer.py"
ONE, CLOSE = "gridhaul/asgi/pipelining.py", "gridhaul/asgi/lingering_close.py"
SENDING, CLIENT, LINE = "gridhaul/outgoing/sending.py", "gridhaul/outgoing/http_client.py", "gridhaul/outgoing/line.py"
WATCHED = "gridhaul/outgoing/watched_backend.py"
BROKER, WORKER = "tasks/transport.py", "tasks/consumer.py"
PATTERNS, SIGNING = "gridhaul/source/patterns.py", "gridhaul/targets/s3/signing.py"
INSIDES: tuple[tuple[Callable[..., Any], str, str], ...] = (
    (HttpToolsProtocol.connection_made, "acdde3b1feda895b", HEAD),
    (HttpToolsProtocol.connection_lost, "57f91eb8d08c0749", HEAD),
    (HttpToolsProtocol.data_received, "acbe954a13ed6566", HEAD),
    (HttpToolsProtocol.send_400_response, "20bed2b9f5388abb", HEAD),
    (HttpToolsProtocol.on_message_begin, "4294ff927d3acca1", HEAD),
    (HttpToolsProtocol.on_header, "ba176f0c5a6a773b", HEAD),
    (HttpToolsProtocol.on_headers_complete, "ecff2e577ea27e2b", HEAD),
    (HttpToolsProtocol.on_message_complete, "2c5bf60e45208bd7", HEAD),
    (HttpToolsProtocol.pause_writing, "627a58f30e375c9d", HEAD),
    (HttpToolsProtocol.resume_writing, "5eef392a4d7d830b", HEAD),
    (HttpToolsProtocol.on_response_complete, "8a769d10c29642ff", ONE),
    (HttpToolsProtocol.shutdown, "54f6bb3a398194f7", ONE),
    (HttpToolsProtocol.timeout_keep_alive_handler, "669265d45b8d71b7", CLOSE),
    (HttpToolsProtocol.on_body, "54275cb9f3e46b0a", BODY),
    (RequestResponseCycle, "fb57068dc5efc4ed", BODY),
    (FlowControl, "1ddd1a4fc837e27d", BODY),
    (httpx2.HTTPTransport.__init__, "592a7a07becd3b12", SENDING),
    (httpx2.HTTPTransport.handle_request, "af5d7f077679247e", SENDING),
    (httpcore2.HTTP11Connection.handle_request, "722082dfd09b06de", SENDING),
    (httpcore2.HTTP11Connection._response_closed, "2c958183ecd78475", SENDING),
    (httpcore2.HTTP11Connection._send_request_body, "006af445b4e78a0b", SENDING),
    (httpx2.AsyncHTTPTransport.handle_async_request, "a8d9fd571fdb85f1", CLIENT),
    (httpx2.AsyncHTTPTransport.__init__, "2731fc8ea43d15c3", CLIENT),
    (httpx2.AsyncHTTPTransport.aclose, "e31a640d03915d71", CLIENT),
    (httpcore2.AsyncHTTPConnection.handle_async_request, "ee88c3dcb2e9d97d", WATCHED),
    (httpcore2.AsyncHTTP11Connection.handle_async_request, "5564618665f26563", WATCHED),
    (httpcore2.AnyIOBackend.connect_tcp, "b62434eee4f7012d", WATCHED),
    (httpcore2.AsyncHTTP11Connection._receive_event, "12a1a70993318ad7", CLIENT),
    (httpcore2.SyncBackend.connect_tcp, "b98b189d3c720897", LINE),
    (Channel.__init__, "98dcb68844f2b224", BROKER),
    (Channel._brpop_start, "8de199424eb77724", BROKER),
    (Channel._brpop_read, "cf6e7a3c978ccf4b", BROKER),
    (Channel._restore, "3ed5733c50c3b3d7", BROKER),
    (Channel._update_queue_cycle, "5afe8141d4c8282e", BROKER),
    (MultiChannelPoller.on_poll_start, "e9ce10fab35ee653", BROKER),
    (virtual.Message.__init__, "c45b4b75913deeaf", BROKER),
    (virtual.QoS.restore_unacked_once, "8e5141f0b703ea87", BROKER),
    (Redis.parse_response, "fcd15082f10b6ba0", BROKER),
    (Consumer.__init__, "4aea916d66fb6975", WORKER),
    (GitIgnoreSpecPattern, "336fd5e9d2708f4e", PATTERNS),
    (GitIgnoreSpecPattern._translate_segment_glob, "60e5fa82f25630a9", PATTERNS),
    (SigV4Auth.add_auth, "7d3c9e401058c69d", SIGNING),
    (S3SigV4Auth._modify_request_before_signing, "64956ff8a5dd5f9c", SIGNING),
)


@pytest.mark.parametrize(
    ("inside", "expected", "ours"), INSIDES, ids=lambda value: getattr(value, "__qualname__", None)
)
def test_inside_of_a_library_is_as_our_code_expects_it(inside: Callable[..., Any], expected: str, ours: str) -> None:
    assert fingerprint(inside) == expected, f"{inside.__qualname__} has changed: look at {ours}"
