"""Where simulated people are treated and who pays for it."""

from collections import Counter, defaultdict
from itertools import pairwise

from simulated_export import Hospital, when


def _people(hospital: Hospital) -> dict[str, Counter[str]]:
    """How often each person was at each site."""
    sites: dict[str, Counter[str]] = defaultdict(Counter)
    for encounter in hospital.of_type("Encounter"):
        sites[encounter["subject"]["reference"]][encounter["serviceProvider"]["reference"]] += 1
    return sites


def test_every_encounter_is_at_one_of_three_sites_of_different_size(hospital: Hospital) -> None:
    sites = Counter(e["serviceProvider"]["reference"] for e in hospital.of_type("Encounter"))
    assert len(sites) == 3
    shares = sorted(count / sites.total() for count in sites.values())
    assert 0.1 < shares[0] < shares[1] < shares[2] < 0.65


def test_people_keep_to_their_site_and_some_are_seen_at_another(hospital: Hospital) -> None:
    people = [sites for sites in _people(hospital).values() if sites.total() > 4]
    loyal = [max(sites.values()) / sites.total() for sites in people]
    assert sum(loyal) / len(loyal) > 0.85
    assert any(share < 1.0 for share in loyal)


def test_the_parts_of_a_stay_and_a_birth_are_at_one_site(hospital: Hospital) -> None:
    encounters = {e["id"]: e for e in hospital.of_type("Encounter")}
    parts = [row["encounters"].split() for row in hospital.truth]
    pairs = [pair for names in parts for pair in pairwise(names)]
    pairs += [
        (e["id"], e["partOf"]["reference"].split("/")[1])
        for e in encounters.values()
        if "partOf" in e
    ]
    assert len(pairs) > 50
    for one, other in pairs:
        assert encounters[one]["serviceProvider"] == encounters[other]["serviceProvider"]


def test_the_old_are_mostly_on_medicare_and_a_few_records_say_nothing(hospital: Hospital) -> None:
    born = {p["id"]: p["birthDate"] for p in hospital.of_type("Patient")}
    payers: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    insured = set()
    for coverage in hospital.of_type("Coverage"):
        who = coverage["beneficiary"]["reference"].split("/")[1]
        insured.add(who)
        old = int(born[who][:4]) + 65 <= int(coverage["period"]["start"][:4])
        payers[old][coverage["payor"][0].get("display", "self")] += 1
    assert payers[True]["Medicare"] / payers[True].total() > 0.75
    assert payers[False].most_common(1)[0][0] == "private"
    assert payers[False]["self"] > 0
    adults = {who for who in born if not who.endswith("newborn")}
    assert 0.005 < 1 - len(insured & adults) / len(adults) < 0.12
    assert insured <= adults


def test_one_payer_at_a_time(hospital: Hospital) -> None:
    periods = defaultdict(list)
    for coverage in hospital.of_type("Coverage"):
        periods[coverage["beneficiary"]["reference"]].append(coverage["period"])
    changed = [found for found in periods.values() if len(found) > 1]
    assert changed
    for first, second in changed:
        assert first["start"] <= first["end"] < second["start"]
        assert "end" not in second
    stays = hospital.of_type("Encounter")
    assert min(when(stay["period"]["start"]).year for stay in stays) > 2021
