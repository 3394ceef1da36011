"""The lines of `gridhaul status`."""

from gridhaul.cli.receipt_lines import receipt_lines
from gridhaul.cli.rows import RUNNING
from gridhaul.cli.text import clause, counted, progress, size
from gridhaul.cli.timeline import timeline
from gridhaul.cli.times import attempt_clause, local_now, shown_time
from gridhaul.client.records import DeliveryRecord, FailureRecord, FileRecord, FormerReceiptRecord, destinations


def file_lines(file: FileRecord) -> list[str]:
    layout = f", {file['layout']}" if file["layout"] else ""
    digest = file["digests"].get("sha-256")
    return [
        f"file {file['file_id']} {file['state']}",
        f"  name      {file['name']} ({file['content_type']})",
        f"  source    {file['file_path'] or 'sent by a client'}",
        *([f"  mtime     {shown_time(file['mtime'])}"] if file["mtime"] else []),
        f"  length    {_length(file)}{layout}",
        *(f"  to        {wanted['target']}: {wanted['object_name']}" for wanted in destinations(file)),
        *_stored_lines(file),
        *([f"  sha-256   {digest}"] if digest else []),
        f"  attempts  {file['attempts']}",
        *_error_lines(file["error"]),
        *_waiting_lines(file),
        f"  created   {shown_time(file['created_at'])}",
        f"  updated   {shown_time(file['updated_at'])}",
        *timeline(file.get("history", [])),
    ]


def delivery_lines(delivery: DeliveryRecord) -> list[str]:
    return [
        f"delivery {delivery['delivery_id']} {delivery['state']}",
        *([f"  source    {delivery['source_path']}"] if delivery["source_path"] else []),
        f"  to        {delivery['target']}: {delivery['object_name']} (if it exists: {delivery['if_exists']})",
        f"  sent      {progress(delivery['sent_bytes'], delivery['length'], _rate(delivery))}",
        f"  attempts  {delivery['attempts']}",
        *_error_lines(delivery["error"]),
        *_cleaning_lines(delivery),
        *_object_lines(delivery),
        *_waiting_lines(delivery),
        f"  created   {shown_time(delivery['created_at'])}",
        f"  updated   {shown_time(delivery['updated_at'])}",
        *(receipt_lines(delivery["receipt"]) if delivery["receipt"] else []),
        *timeline(delivery.get("history", [])),
    ]


def _stored_lines(file: FileRecord) -> list[str]:
    done = progress(file["stored_bytes"], file["length"], _rate(file))
    if file["upload"] is None:
        return [f"  stored    {done}"]
    return [f"  received  {done}", f"  expires   {shown_time(file['upload']['expires_at'])}, unless its client goes on"]


def _length(file: FileRecord) -> str:
    length, chunks = file["length"], file["chunk_count"]
    if length is None or chunks is None:
        return "not known yet"
    return f"{length} bytes ({size(length)}), {counted(chunks, 'chunk')}"


def _rate(record: FileRecord | DeliveryRecord) -> float | None:
    return record["rate"] if record["state"] in RUNNING else None


def _error_lines(error: FailureRecord | None) -> list[str]:
    return [f"  error     {error['code']}: {error['detail']}"] if error else []


def _cleaning_lines(delivery: DeliveryRecord) -> list[str]:
    error = delivery["cleaning_error"]
    if error is None:
        return []
    why = f"{error['code']}: {error['detail']}"
    if not delivery["leftovers"]:
        return [f"  not cleaned up: {why}"]
    return [f"  not cleaned up yet: {name} ({why})" for name in delivery["leftovers"]]


def _object_lines(delivery: DeliveryRecord) -> list[str]:
    former = delivery["former_receipts"]
    before = [f"  before    delivered {shown_time(one['delivered_at'])}, then {_why(one)}" for one in former]
    error = delivery["object_error"]
    if error is None:
        return before
    advice = f"gridhaul retry {delivery['delivery_id']} delivers it again"
    return [f"  object    {error['code']}: {clause(error['detail'])}; {advice}", *before]


def _why(former: FormerReceiptRecord) -> str:
    return f"{former['object_error']['code']}: {clause(former['object_error']['detail'])}"


def _waiting_lines(record: FileRecord | DeliveryRecord) -> list[str]:
    waiting, since, at = record["waiting"], record["waiting_since"], record["next_attempt_at"]
    return [
        *([f"  waiting   {clause(waiting['detail'])}"] if waiting and waiting != record["error"] else []),
        *([f"  since     {shown_time(since)}"] if since else []),
        *([f"  {attempt_clause(at, now=local_now())}"] if at else []),
    ]
