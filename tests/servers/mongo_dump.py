"""Dumps and restores a database as `mongodump` does: `NAME.bson` and `NAME.metadata.json` for each collection."""

from pathlib import Path
from typing import Any

from bson import decode_file_iter, json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
DOCUMENTS_AT_ONCE = 16  # a document may have 1 MiB and more


def dump(url: str, database: str, directory: Path) -> None:
    """Write every collection, with its options and indexes, into `directory/database`."""
    place = directory / database
    place.mkdir(parents=True)
    client: MongoClient[Any] = MongoClient(url)
    with client:
        for info in client[database].list_collections():
            name = info["name"]
            documents = client[database].get_collection(name, codec_options=RAW).find()
            with (place / f"{name}.bson").open("wb") as file:
                file.writelines(document.raw for document in documents)
            metadata = {"options": info["options"], "indexes": list(client[database][name].list_indexes())}
            (place / f"{name}.metadata.json").write_text(json_util.dumps(metadata | {"collectionName": name}))


def restore(url: str, database: str, directory: Path) -> None:
    """Insert the collections that `dump` wrote into an empty database."""
    client: MongoClient[Any] = MongoClient(url)
    with client:
        for path in (directory / database).glob("*.metadata.json"):
            metadata = json_util.loads(path.read_text())
            name = metadata["collectionName"]
            client[database].create_collection(name, **metadata["options"])
            client[database].command("createIndexes", name, indexes=metadata["indexes"])
            with path.with_name(f"{name}.bson").open("rb") as file:
                _insert(client[database].get_collection(name, codec_options=RAW), file)


def _insert(collection: Any, file: Any) -> None:
    batch = []
    for document in decode_file_iter(file, RAW):
        batch.append(document)
        if len(batch) == DOCUMENTS_AT_ONCE:
            collection.insert_many(batch)
            batch = []
    if batch:
        collection.insert_many(batch)
