"""The server of the parent project's way: chunks arrive one by one, as base64 in JSON; the first 15 fill one document.

`uvicorn bench.peers.parent_server:app` runs the server. PARENT_MONGO_URL_FILE names a file that holds MongoDB's URL.
"""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bson import ObjectId
from fastapi import FastAPI, Request
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import BaseModel

from bench.peers.gridfs import DATABASE, DURABLE

URL_FILE = "PARENT_MONGO_URL_FILE"
CHUNKS_IN_PARENT = 15  # of 1 MiB; with one more, the document would be larger than MongoDB allows


class Chunk(BaseModel):
    n: int
    data: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(_mongo_url())
    app.state.database = client.get_database(DATABASE, write_concern=DURABLE)
    await app.state.database["children"].create_index([("parent_id", 1), ("n", 1)], unique=True)
    yield
    client.close()


def _mongo_url() -> str:
    return Path(os.environ[URL_FILE]).read_text().strip()


app = FastAPI(lifespan=lifespan)


@app.post("/files", status_code=201)
async def begin(request: Request) -> dict[str, str]:
    made = await request.app.state.database["parents"].insert_one({"chunks": []})
    return {"file_id": str(made.inserted_id)}


@app.post("/files/{file_id}/chunks", status_code=201)
async def add(request: Request, file_id: str, chunk: Chunk) -> None:
    database, parent_id = request.app.state.database, ObjectId(file_id)
    data = base64.b64decode(chunk.data)
    if chunk.n < CHUNKS_IN_PARENT:
        await database["parents"].update_one({"_id": parent_id}, {"$push": {"chunks": {"n": chunk.n, "data": data}}})
    else:
        await database["children"].insert_one({"parent_id": parent_id, "n": chunk.n, "data": data})
