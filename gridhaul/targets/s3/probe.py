"""The probe of an S3 server: whether the bucket is there, then the experiments, then everything is removed."""

import http
from typing import Any

from gridhaul.targets.http_session import FOUND
from gridhaul.targets.probing import cleared_at_the_end
from gridhaul.targets.s3.bucket import Bucket
from gridhaul.targets.s3.errors import code_of, error_of, no_bucket
from gridhaul.targets.s3.experiments import MISSING, Experiments
from gridhaul.targets.s3.pages import Pages
from gridhaul.targets.s3.scratch import Scratch
from gridhaul.transfer.errors import GridhaulError, TargetRefused
from gridhaul.transfer.ports.targets import BeforeWriting


class Probe:
    """One probe of one bucket. Its objects have names that begin with `scratch`."""

    def __init__(self, bucket: Bucket, *, scratch: str) -> None:
        self._bucket = bucket
        self._names = Scratch(scratch)

    async def run(self, before_writing: BeforeWriting) -> dict[str, Any]:
        """Return what was seen: abilities and `S3Facts` together.

        Raises TargetRefused if the bucket cannot be written to, or gives back other bytes.
        """
        await self._require_bucket()
        missing = await self._bucket.head(self._names.delivered)
        if missing.status in FOUND:
            raise TargetRefused("The target's server tells of objects that do not exist; Gridhaul cannot use it.")
        if missing.status not in MISSING:
            raise error_of(missing)
        await before_writing()
        async with cleared_at_the_end(self.clear):
            seen = await Experiments(self._bucket, self._names).run()
        return {**seen, "tells_missing": missing.status == http.HTTPStatus.NOT_FOUND}

    async def clear(self) -> None:
        """Remove every object and upload that a probe with this scratch may have left."""
        for name in self._names.objects:
            await self._bucket.remove(name)
        pages = Pages()
        while pages.marker is not None:
            try:
                unfinished = await self._bucket.uploads(self._names.beginning, pages)
            except GridhaulError:  # some servers cannot list uploads, and some credentials may not
                return
            for upload in unfinished:
                await self._bucket.abort(upload.name, upload.upload_id)

    async def _require_bucket(self) -> None:
        """Look at the bucket before anything is written: some servers make a missing bucket at the first object."""
        answer = await self._bucket.look()
        if answer.status == http.HTTPStatus.NOT_FOUND:
            raise no_bucket()
        if answer.status not in FOUND | {http.HTTPStatus.FORBIDDEN}:  # credentials that only write are refused here
            why = await self._bucket.explain()
            raise error_of(why if code_of(why) else answer)
