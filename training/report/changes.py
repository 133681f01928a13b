"""What is other in a run than in the run of the model in use."""

import msgspec

from training.findings import ChampionChanges, Change
from training.report.artifacts import RunArtifacts

_DATA = {
    "profile": "site profile",
    "data_fingerprint": "fingerprint of the data",
    "train_stays": "training stays",
    "train_readmissions": "readmissions among them",
    "first_discharge": "first discharge",
    "last_discharge": "last discharge",
    "split": "split",
    "code_version": "version of the code",
}


def changes_since(champion: RunArtifacts, version: str, candidate: RunArtifacts) -> ChampionChanges:
    """Compare a candidate's run with that of the model in use.

    Args:
        champion: the run of the model in use.
        version: its version in the registry.
        candidate: the new run.

    """
    before = {feature.name for feature in champion.features}
    after = {feature.name for feature in candidate.features}
    return ChampionChanges(
        champion=version,
        features_added=tuple(sorted(after - before)),
        features_removed=tuple(sorted(before - after)),
        settings=_changed(
            _flat(msgspec.to_builtins(champion.study)), _flat(msgspec.to_builtins(candidate.study))
        ),
        data=_changed(_data(champion), _data(candidate)),
    )


def _data(run: RunArtifacts) -> dict[str, str]:
    facts = {title: getattr(run.facts, name) for name, title in _DATA.items()}
    return _flat({**facts, **run.facts.packages})


def _flat(value: object, place: str = "") -> dict[str, str]:
    """Nested choices by their dotted place; a list is one choice."""
    if isinstance(value, dict):
        found: dict[str, str] = {}
        for name, each in value.items():
            found |= _flat(each, f"{place}.{name}" if place else str(name))
        return found
    if isinstance(value, list | tuple):
        plain = [
            msgspec.json.encode(each).decode() if isinstance(each, dict) else str(each)
            for each in value
        ]
        return {place: ", ".join(plain) or "none"}
    return {place: "not said" if value is None else str(value)}


def _changed(before: dict[str, str], after: dict[str, str]) -> tuple[Change, ...]:
    names = list(dict.fromkeys([*before, *after]))
    return tuple(
        Change(name, before.get(name, "not said"), after.get(name, "not said"))
        for name in names
        if before.get(name) != after.get(name)
    )
