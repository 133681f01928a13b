"""What makes real records hard to read, put in on purpose and in known shares.

None of it changes what a correct reader concludes: units convert exactly up to rounding, a wrong
value is marked as an error or replaced by a later version, and the values that drive the true risk
are never made unreadable.
"""

from typing import Final

from training.simulated_hospital.chance import Chance
from training.simulated_hospital.clock import MINUTE, Clock
from training.simulated_hospital.coding import LOCAL_LABORATORY, UNKNOWN_VALUE, Json, quantity
from training.simulated_hospital.parameters import Untidiness
from training.simulated_hospital.stays import Result, Stay

MALFORMED_LINES: Final = (
    b'{"resourceType":"Observation","id":"sim-broken-1","status":"fin\n',
    b'{"resourceType":"Observation","id":"sim-broken-2","status":"final","code":"not a concept",'
    b'"subject":{"reference":"Patient/sim-000000"}}\n',
    b'["an array","is no resource"]\n',
)
"""Lines that are no JSON, no Observation and no resource."""

_UNKNOWN_UNIT = "[arb'U]"


def untidy_result(record: Json, result: Result, shares: Untidiness, chance: Chance) -> None:
    """Make one laboratory result untidy, in place, if its turn comes.

    A decisive result may come in another unit or under a local code beside LOINC; it is never
    without value, unit or code.
    """
    laboratory = result.laboratory
    toss = chance.uniform()
    if toss < shares.other_unit and laboratory.other_units:
        unit, factor, decimals = chance.pick(laboratory.other_units)
        value = round(result.value * factor, decimals)
        record["valueQuantity"] = quantity(value, unit)
    elif toss > 1.0 - shares.unknown_unit and not result.decisive:
        record["valueQuantity"] = quantity(round(result.value * 7.3, 1), _UNKNOWN_UNIT)
    elif toss > 1.0 - shares.unknown_unit - shares.absent_value and not result.decisive:
        del record["valueQuantity"]
        record["dataAbsentReason"] = UNKNOWN_VALUE
    if laboratory.local_share and chance.below(laboratory.local_share):
        local = _local_coding(laboratory.name)
        record["code"] = {"coding": [local], "text": laboratory.name.replace("_", " ")}
    elif chance.below(0.03):
        coding = [_local_coding(laboratory.name), *record["code"]["coding"]]
        record["code"] = record["code"] | {"coding": coding}


def errors_and_corrections(
    stay: Stay, observations: list[Json], shares: Untidiness, clock: Clock, chance: Chance
) -> tuple[list[Json], list[Json]]:
    """Return results entered in error, and later versions that correct a first, wrong one.

    The first, wrong versions are put into ``observations`` in place of the right ones.
    """
    mistaken: list[Json] = []
    corrected: list[Json] = []
    until = min(stay.end, clock.end)
    for index, result in enumerate(stay.results):
        toss = chance.uniform()
        record = observations[index]
        if toss < shares.entered_in_error:
            late = clock.local(max(until - 10 * MINUTE, result.drawn))
            absurd = quantity(round(result.value * 37.0, 1), result.laboratory.unit)
            copy = {key: v for key, v in record.items() if key != "dataAbsentReason"} | {
                "id": f"{record['id']}-error",
                "status": "entered-in-error",
                "effectiveDateTime": late,
                "issued": late,
                "valueQuantity": absurd,
            }
            mistaken.append(copy)
        elif toss > 1.0 - shares.corrected and "valueQuantity" in record:
            right = record["valueQuantity"]
            wrong = right | {"value": round(right["value"] * 1.25, result.laboratory.decimals)}
            later = clock.utc(result.issued + 50 * MINUTE)
            first = {"versionId": "1", "lastUpdated": clock.utc(result.issued)}
            second = {"versionId": "2", "lastUpdated": later}
            corrected.append(record | {"meta": second, "status": "corrected"})
            observations[index] = record | {"meta": first, "valueQuantity": wrong}
    return mistaken, corrected


def duplicates(records: list[Json], share: float, chance: Chance) -> list[Json]:
    """Return the few of these records that an export holds a second time, unchanged."""
    return [record for record in records if chance.below(share)]


def _local_coding(laboratory: str) -> Json:
    return {"system": LOCAL_LABORATORY, "code": laboratory.replace("_", "-").upper()}
