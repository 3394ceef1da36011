"""Refusals of the api in the words of the command: its options instead of members of a request."""

from collections.abc import Mapping

from gridhaul.client import ApiError, ClientError
from gridhaul.transfer import errors

PATH_UNKNOWN = "path_unknown"  # no class has this code: no service of Gridhaul raises it
OTHER_VERSION = "The api does not understand this command; do both have the same version?"
# Details of these codes speak of requests, because a program that speaks HTTP has to mend its request. A user of the
# command can only do something else.
SENTENCES: Mapping[str, str] = {
    errors.Malformed.code: OTHER_VERSION,
    errors.DigestRequired.code: "The api wants more than this command says; do both have the same version?",
    errors.PasswordNeeded.code: "This gives lasting access; pass --username USER to confirm it with the password.",
    errors.RequestTimeout.code: "What the command said arrived too slowly; try again.",
    errors.LengthRequired.code: "The api does not understand this command; is there a proxy that changes it?",
    errors.PayloadTooLarge.code: "The file, the options, or the list of paths, are larger than the api takes.",
    errors.UriTooLong.code: "The arguments are longer than the api takes.",
    errors.UnsupportedMediaType.code: OTHER_VERSION,
    errors.TooManyRequests.code: "This account, or this address, asks the api too often.",
    errors.HeadersTooLarge.code: "GRIDHAUL_TOKEN is longer than the api takes.",
    errors.IdempotencyConflict.code: "The api took this command for another one; run it again.",
    errors.UploadTakenOver.code: "Another client goes on with this upload, or it was stopped.",
    errors.StaleFence.code: "Another client goes on with this upload, or it was stopped.",
    errors.GridhaulError.code: "The server failed unexpectedly; its log says more.",
    errors.NotCombinable.code: "The api cannot list by these options together; give fewer of them.",
    PATH_UNKNOWN: "The api does not know this command; check GRIDHAUL_URL, and that both have one version.",
    "method_not_allowed": "The api does not know this command; check whether both have the same version.",
}
OPTIONS: Mapping[str, str] = {
    "body.file_path": "FILE",
    "body.deliver_to.target": "--to",
    "body.deliver_to.object_name": "--name",
    "body.deliver_to.if_exists": "--if-exists",
    "body.if_changed": "--if-changed",
    "body.paths": "FILE",
    "body.base": "--base",
    "body.list_id": "--files-from",
    "body.include": "--include",
    "body.exclude": "--exclude",
    "body.hidden": "--no-hidden",
    "body.links": "--links",
    "body.update": "--update",
    "body.dry_run": "--dry-run",
    "body.deliver_to.prefix": "--prefix",
    "body.target": "--to",
    "body.object_name": "--name",
    "body.if_exists": "--if-exists",
    "body.id": "ID",
    "body.read_targets": "--read-targets",
    "body.bytes_per_second": "--rate",
    "body.username": "USER",
    "body.scopes": "--scopes",
    "body.roots": "--root",
    "body.targets": "--target",
    "body.quota_bytes": "--quota",
    "body.max_open_files": "--max-open-files",
    "body.disabled": "--disable",
    "body.password": "the password",
    "body.current_password": "the password",
    "body.new_password": "the new password",
    "body.revoke_keys": "--revoke-keys",
    "body.name": "NAME",
    "body.expires_in_days": "--expires-in-days",
    "body.account": "--account",
    "path.file_id": "ID",
    "path.delivery_id": "ID",
    "path.check_id": "ID",
    "path.batch_id": "ID",
    "path.key_id": "ID",
    "path.username": "USER",
    "path.target_name": "NAME",
    "query.account": "--account",
    "query.state": "--state",
    "query.batch": "--batch",
    "query.target": "--target",
    "query.name_prefix": "--prefix",
    "query.owner": "--owner",
    "query.order": "--order",
}


def reason(error: ClientError) -> str:
    """Return why a request failed, in the words of the command."""
    return f"{error.code}: {told(error)}" if isinstance(error, ApiError) else str(error)


def told(error: ApiError) -> str:
    """Return the detail of a refusal, and what to do, in the words of the command."""
    if error.invalid and error.code != errors.NotCombinable.code:
        return _invalid(error)
    return SENTENCES.get(error.code, error.detail)


def _invalid(error: ApiError) -> str:
    named = [OPTIONS.get(member) for member in error.invalid]
    options = ", ".join(dict.fromkeys(option for option in named if option))
    return f"The api does not accept the value of {options}." if options else OTHER_VERSION
