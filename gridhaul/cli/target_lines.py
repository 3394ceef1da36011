"""The lines of `gridhaul targets` about one target: what it can promise, and when that was seen."""

from collections.abc import Iterator

from gridhaul.cli.text import clause
from gridhaul.cli.times import shown_time
from gridhaul.client.records import AbilitiesRecord, TargetRecord

DIGESTS = {"sha-256": "SHA-256", "md5": "MD5"}


def target_lines(target: TargetRecord) -> Iterator[str]:
    """Yield the target's name with the time when it was seen, then a line for each ability, and its trouble."""
    yield f"{target['name']} ({target['kind']}), {_seen(target)}"
    if target["abilities"]:
        yield from _ability_lines(target, target["abilities"])
    yield from _trouble_lines(target)


def _seen(target: TargetRecord) -> str:
    if target["seen_at"] is None:
        return "not seen yet"
    since = "; since then it has done something else" if target["outdated"] else ""
    return f"seen {shown_time(target['seen_at'])}{since}"


def _ability_lines(target: TargetRecord, can: AbilitiesRecord) -> Iterator[str]:
    yield (
        "  atomic: yes, nobody sees a part of an object under its name"
        if can["atomic"]
        else "  atomic: no, somebody may see a part of an object under its name while it is written"
    )
    yield f"  exclusive: {_exclusive(target, can)}"
    yield (
        "  durable: yes, what the target has taken is on its disk"
        if can["durable"]
        else "  durable: not known, the target does not tell when an object is on its disk"
    )
    yield (
        "  goes on after an interruption: yes, with what it has received"
        if can["resumable"]
        else "  goes on after an interruption: no, it begins anew"
    )
    yield f"  checked: {_checked(target, can)}"
    yield f"  free space: {'told' if can['free_space'] else 'not told'}"


def _exclusive(target: TargetRecord, can: AbilitiesRecord) -> str:
    if can["exclusive"]:
        return "yes, an object that takes the name in the last moment stays"
    replaced = "no, an object that takes the name in the last moment is replaced"
    if target["allow_overwrite_race"] is None:
        return replaced
    if target["allow_overwrite_race"]:
        return f"{replaced}; allow_overwrite_race is set, so the name is only looked at right before"
    return f"{replaced}; deliveries with the policies fail and rename are refused unless allow_overwrite_race is set"


def _checked(target: TargetRecord, can: AbilitiesRecord) -> str:
    if can["digest"] is None:
        return (
            "by reading back, if the target does not tell a digest" if target["kind"] == "http" else "by reading back"
        )
    name = DIGESTS.get(can["digest"], can["digest"])
    return f"by {name} of the parts" if target["kind"] == "s3" else f"by the {name} that the target tells"


def _trouble_lines(target: TargetRecord) -> Iterator[str]:
    """Yield how the last probe failed, and when the next one follows; nothing if all is well."""
    following = f"; the next try is due {shown_time(target['next_probe_at'])}" if target["next_probe_at"] else ""
    if target["error"]:
        at = f" {shown_time(target['tried_at'])}" if target["tried_at"] else ""
        yield f"  last try{at}: {target['error']['code']}: {clause(target['error']['detail'])}{following}"
    if target["waiting"]:
        yield f"  waits: {clause(target['waiting']['detail'])}"
    if target["state"] == "RETIRED":
        yield "  is not probed: another api of this system has no such target; restart it"
