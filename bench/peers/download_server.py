"""A download of a GridFS file as it is usually written: Starlette streams what PyMongo's asyncio API reads, unverified.

`uvicorn bench.peers.download_server:app` runs the server, on uvloop. DOWNLOADS_MONGO_URL_FILE names a file that holds
MongoDB's URL.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bson import ObjectId
from gridfs.asynchronous import AsyncGridFSBucket
from pymongo import AsyncMongoClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from bench.peers.gridfs import CHUNK_BYTES, DATABASE
from gridhaul.embedded.network import HOST
from gridhaul.embedded.programs import Program, Stage
from gridhaul.embedded.readiness import Listens

URL_FILE = "DOWNLOADS_MONGO_URL_FILE"


def program(port: int, mongo_url_file: Path) -> Program:
    """Return the program that runs this server at the port."""
    options = ("--host", HOST, "--port", str(port), "--no-access-log")
    return Program(
        name="download_peer",
        command=(sys.executable, "-m", "uvicorn", "bench.peers.download_server:app", *options),
        stage=Stage.API,  # starts after the database's user is made
        environment={URL_FILE: str(mongo_url_file)},
        ready=Listens(port),
    )


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(_mongo_url())
    app.state.bucket = AsyncGridFSBucket(client[DATABASE], chunk_size_bytes=CHUNK_BYTES)
    yield
    await client.close()


def _mongo_url() -> str:
    return Path(os.environ[URL_FILE]).read_text().strip()


async def _download(request: Request) -> StreamingResponse:
    stream = await request.app.state.bucket.open_download_stream(ObjectId(request.path_params["file_id"]))

    async def chunks() -> AsyncIterator[bytes]:
        while data := await stream.readchunk():
            yield data

    return StreamingResponse(chunks(), headers={"Content-Length": str(stream.length)})


app = Starlette(routes=[Route("/{file_id}", _download)], lifespan=_lifespan)
