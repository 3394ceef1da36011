"""Where an upload by tus goes: `target`, `object_name` and `if_exists` of Upload-Metadata."""

import pytest

from tests.api.service import Api
from tests.api.uploads.doors import TUS
from tests.api.uploads.test_tus_fields import encoded


def creating(**metadata: str) -> dict[str, str]:
    named = ",".join(f"{name} {encoded(value)}" for name, value in {"filename": "a.h5", **metadata}.items())
    return {**TUS, "Upload-Length": "5", "Upload-Metadata": named}


@pytest.mark.parametrize("policy", ["fail", "overwrite", "rename"])
async def test_policy_for_a_taken_name_is_kept_for_the_delivery(api: Api, policy: str) -> None:
    made = await api.http.post("/uploads", headers=creating(target="archive", if_exists=policy))
    assert made.status_code == 201, made.text
    [file] = (await api.http.get("/files?state=RECEIVING")).json()["files"]
    assert file["deliver_to"] == {"target": "archive", "object_name": "a.h5", "if_exists": policy}


async def test_unknown_policy_is_refused_before_anything_is_stored(api: Api) -> None:
    answer = await api.http.post("/uploads", headers=creating(target="archive", if_exists="guess"))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
    assert (await api.http.get("/files")).json()["files"] == []
