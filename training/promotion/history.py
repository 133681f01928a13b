"""Which version was in use from when to when, read from the signed record."""

import msgspec

from training.promotion.record import Action, Entry


class Reign(msgspec.Struct, frozen=True, kw_only=True):
    """A time during which one version was in use."""

    version: str
    run_id: str
    manifest_sha256: str
    since: str
    """ISO 8601, UTC."""
    until: str | None
    """None for the one in use now."""
    action: Action
    by: str
    reasons: tuple[str, ...]
    provisional: bool
    """In use although not every gate was passed or waived."""


def reigns(entries: tuple[Entry, ...]) -> tuple[Reign, ...]:
    """The versions that were in use, the first one first."""
    changes = [entry for entry in entries if entry.action != "refuse"]
    if not changes:
        return ()
    ends = [*(entry.time for entry in changes[1:]), None]
    return tuple(
        Reign(
            version=entry.version,
            run_id=entry.run_id,
            manifest_sha256=entry.manifest_sha256,
            since=entry.time,
            until=until,
            action=entry.action,
            by=entry.by,
            reasons=entry.reasons,
            provisional=entry.provisional,
        )
        for entry, until in zip(changes, ends, strict=True)
    )


def standing(entries: tuple[Entry, ...]) -> list[Entry]:
    """The models that a rollback would go back through, the present one last.

    A rollback takes what it leaves off the list: going back twice goes two models back, and not to
    the one that was just left.
    """
    stack: list[Entry] = []
    for entry in entries:
        if entry.action == "refuse":
            continue
        if entry.action == "rollback":
            versions = [one.version for one in stack]
            if entry.version in versions:
                del stack[versions.index(entry.version) :]
        elif stack and stack[-1].version == entry.version:
            # Promoted again, once it passed: the same model is not gone back to.
            stack.pop()
        stack.append(entry)
    return stack
