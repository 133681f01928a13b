"""The report on the cards: every figure against a hospital that was counted by hand."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pytest
import typer
from records import encounter, ingested, lab, left_for, ndjson, patient, urgency
from typer.testing import CliRunner

from fhir_mappings.consent import OptOuts
from fhir_mappings.profiles import load_profile
from fhir_mappings.records.instants import from_datetime
from fhir_mappings.store import open_store
from service import examples
from service.audit.ledger import Audit
from service.card_report.counts import Burden, burden, tables
from service.card_report.followed import Followed, Judged, followed
from service.card_report.report import CardReport, Period, Records, card_report
from service.commands.feedback import feedback
from service.database import audit_entries, cards, scores
from service.database.engine import Database
from service.keeping import Keeping
from service.protection.keys import new_keys, write_keys
from service.protection.sealing import index_of, seal
from service.score import encoded
from training.monitoring.disclosure import Table

HOME = {"hospitalization": left_for("home")}
ISSUER = "https://ehr.example.org"
MARCH = (date(2024, 3, 1), date(2024, 3, 31))
UTC_ZONE = ZoneInfo("UTC")
DEFAULT = load_profile("default")
FIRST_DAY = datetime(2024, 3, 4, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of patients 0 to 41, each with one stay that a card was shown for, and what came after.

    0 to 11 came back unplanned within thirty days and 12 to 35 did not; 36 and 37 left too late to
    tell; 38 opted out, after coming back; 39 is not on record; 40 left against advice and came
    back; 41 came back as planned.
    """
    home = tmp_path_factory.mktemp("hospital") / "store"
    found: list[dict[str, Any]] = []
    for number in range(42):
        who = name_of(number)
        if number == 39:
            continue
        left = 63 if number in (36, 37) else 3
        end = {"hospitalization": left_for("aadvice")} if number == 40 else HOME
        found += [
            patient(who),
            lab(f"l{number}", left - 2, who=who),
            encounter(f"i{number}", left - 3, left, who=who, **end),
        ]
        if number < 12 or number in (38, 40):
            found.append(encounter(f"r{number}", 13, 15, who=who, **HOME))
        if number == 41:
            planned = {"priority": urgency("EL"), **HOME}
            found.append(encounter("r41", 13, 15, who=who, **planned))
    ingested(home, ("hospital.ndjson", ndjson(*found)))
    return home


def name_of(number: int) -> str:
    return f"example-{number}"


class Shown(NamedTuple):
    """A database with the cards of that hospital."""

    keeping: Keeping

    def card(self, number: int, **more: Any) -> str:
        """Show a card of a patient's stay; its uuid."""
        keys, made = self.keeping.keys, more.get("shown_at", FIRST_DAY)
        card = more.get("card", f"card-{number}")
        score = msgspec.structs.replace(
            examples.SCORED,
            score_id=f"score-of-{card}",
            subject=name_of(number),
            encounter_id=f"i{number}",
            probability=0.3 if number < 20 else 0.4,
        )
        row = scores.Row(
            id=f"score-of-{card}",
            patient_index=index_of(keys, "patient", score.subject),
            encounter_index=index_of(keys, "encounter", score.encounter_id),
            unit=None,
            made_at=from_datetime(made),
            status="scored",
            probability=score.probability,
            band="high",
            model="readmit",
            version="3",
            score_sealed=seal(keys, encoded(score).decode(), "scores.score"),
        )
        with self.keeping.database.writing() as connection:
            scores.keep(connection, row)
            assert cards.enter_shown(
                connection,
                cards.ShownCard(
                    card=card,
                    score_id=row.id,
                    service="readmission-risk-at-discharge",
                    issuer=ISSUER,
                    user_index=index_of(keys, "user", f"Practitioner/{number % 4}"),
                    patient_sealed=seal(keys, score.subject, "shown_cards.patient"),
                    stay_index=index_of(keys, "stay", score.encounter_id),
                    number=more.get("nth", 1),
                    unit="Cardiology" if number % 2 == 0 else None,
                    band=more.get("band", "high"),
                    shown_at=from_datetime(made),
                ),
            )
        return card

    def said(self, card: str, outcome: str, hour: int = 0, reason: str | None = None) -> bool:
        """Report what became of a card, in an hour of the day after; whether it was news."""
        at = from_datetime(FIRST_DAY + timedelta(days=1, hours=hour))
        with self.keeping.database.writing() as connection:
            return cards.enter_feedback(
                connection,
                cards.Feedback(
                    id=f"{card} {outcome} {hour}",
                    card=card,
                    outcome=outcome,
                    at=at,
                    accepted=0,
                    reason=reason,
                    comment_sealed=None,
                    received_at=from_datetime(datetime.now(UTC)),
                ),
            )

    def report(self, store: Path | None, listed: tuple[str, ...] = ()) -> CardReport:
        period = Period(*MARCH, UTC_ZONE)
        if store is None:
            return card_report(self.keeping, period, None, lambda *_: None)
        with open_store(store) as opened:
            opt_outs = OptOuts(frozenset(listed), from_datetime(datetime.now(UTC)))
            records = Records(opened, DEFAULT, opt_outs)
            return card_report(self.keeping, period, records, lambda *_: None)


@pytest.fixture
def shown(database: Database, tmp_path: Path) -> Shown:
    """Cards of all patients on two days, and what the EHR said of them: some of it twice."""
    keys = new_keys()
    write_keys(tmp_path / "keys", keys)
    made = Shown(Keeping(database, keys, Audit(database, keys, tmp_path / "anchor")))
    for number in range(42):
        made.card(number, shown_at=FIRST_DAY + timedelta(days=number // 21))
    # The stay of patient 0 got a second card when its band had changed; nothing was said of it.
    made.card(
        0, card="again", nth=2, band="medium", shown_at=FIRST_DAY + timedelta(days=1, hours=2)
    )
    made.card(5, card="in April", nth=2, shown_at=datetime(2024, 4, 1, tzinfo=UTC))
    made.card(5, card="in February", nth=3, shown_at=datetime(2024, 2, 29, 23, 59, tzinfo=UTC))
    for number in range(37):
        card = f"card-{number}"
        if number < 23:
            made.said(card, "accepted", hour=2)
        else:
            made.said(card, "overridden", hour=2, reason="planned" if number < 35 else None)
    # What was reported later is no news if it was said of an earlier moment, or said before.
    made.said("card-0", "overridden", hour=1, reason="planned")
    made.said("card-23", "accepted", hour=1)
    assert not made.said("card-1", "accepted", hour=2)
    return made


def counts(report: CardReport, name: str, outcome: str) -> dict[str, int]:
    (table,) = [one for one in report.tables if (one.name, one.population) == (name, outcome)]
    return {cell.name: cell.at_least for cell in table.cells}


def test_each_card_is_counted_once_by_the_last_that_was_said_of_it(shown: Shown) -> None:
    with shown.keeping.database.reading() as connection:
        period = Period(*MARCH, UTC_ZONE)
        found = cards.of_period(connection, period.since, period.until)
    outcomes = [card.outcome for card in found]
    assert len(found) == 43
    assert (outcomes.count("accepted"), outcomes.count("overridden"), outcomes.count(None)) == (
        23,
        14,
        6,
    )
    by_card = {card.card: (card.outcome, card.reason) for card in found}
    assert by_card["card-0"] == ("accepted", None)
    assert by_card["card-23"] == ("overridden", "planned")
    assert by_card["card-36"] == ("overridden", None)
    assert by_card["again"] == (None, None)


def test_counts_are_published_in_steps_of_eleven_and_small_ones_not_at_all(shown: Shown) -> None:
    report = shown.report(None)
    # All 23 that were accepted are high, and all 14 that were overridden; nobody said of 6.
    assert counts(report, "band", "accepted") == {"high": 22, "medium": 0}
    assert counts(report, "band", "overridden") == {"high": 11, "medium": 0}
    assert counts(report, "band", "not_reported") == {"high": 0, "medium": 0}
    # Of patients 0 to 22, 12 are of Cardiology and 11 of no unit that is on record.
    assert counts(report, "unit", "accepted") == {"(not said)": 11, "Cardiology": 11}
    # 12 with a reason that is named, 2 without.
    assert counts(report, "reason", "overridden") == {"planned": 11, "(not said)": 0}
    assert counts(report, "service", "accepted") == {"readmission-risk-at-discharge": 22}


def test_a_table_that_would_give_a_few_people_away_is_held_back(shown: Shown) -> None:
    """14 overridden, 7 of each unit: beside the bands, each would be known to be 1 to 10."""
    assert counts(shown.report(None), "unit", "overridden") == {}


def test_the_burden_is_that_of_the_days_on_which_somebody_saw_a_card(shown: Shown) -> None:
    # Four clinicians, two days: 6, 5, 5, 5 cards on the first and 6, 6, 5, 5 on the second.
    assert shown.report(None).burden == Burden(clinician_days=0, mean=5.38, median=5.0, most=6)


def of_period(number: int, at: datetime, user: str = "u") -> cards.CardOfPeriod:
    return cards.CardOfPeriod(
        card=f"{number}",
        service="s",
        user_index=user,
        unit="u",
        band="high",
        shown_at=from_datetime(at),
        patient_index=f"p{number}",
    )


def test_a_day_is_that_of_the_hospitals_clock() -> None:
    late = datetime(2024, 3, 5, 23, tzinfo=UTC)
    found = [of_period(number, late + timedelta(hours=number // 6 * 4)) for number in range(12)]
    utc, new_york = (burden(found, ZoneInfo(zone)) for zone in ("UTC", "America/New_York"))
    assert utc is not None
    assert new_york is not None
    assert (utc.most, utc.mean) == (6, 6.0)
    assert (new_york.most, new_york.mean) == (12, 12.0)


def test_many_cards_of_few_patients_are_still_few_people() -> None:
    one_patient = [
        msgspec.structs.replace(of_period(number, FIRST_DAY), patient_index="the same")
        for number in range(30)
    ]
    assert burden(one_patient, UTC_ZONE) is None
    assert {cell.at_least for table in tables(one_patient) for cell in table.cells} <= {0}
    unknown = [msgspec.structs.replace(card, patient_index=None) for card in one_patient]
    assert burden(unknown, UTC_ZONE) is None


def test_a_total_never_gives_back_what_is_hidden(shown: Shown) -> None:
    report = shown.report(None)
    whole: list[Table] = [table for table in report.tables if table.cells]
    for table in whole:
        assert all(cell.at_least % 11 == 0 for cell in table.cells)
        assert table.at_least == sum(cell.at_least for cell in table.cells)


def test_of_the_cards_whose_month_is_over_it_is_told_how_many_were_right(
    shown: Shown, store: Path
) -> None:
    """13 cards of 12 patients were followed, 25 were not: 13 / 38 = 0.342, Wilson 0.212 to 0.501.

    The cards said 21 x 0.3 + 17 x 0.4 = 13.1 readmissions: 0.345 on average.
    """
    assert shown.report(store, listed=(name_of(38),)).followed == Followed(
        readmitted=11, not_readmitted=22, ppv=0.34, low=0.21, high=0.5, mean_risk=0.34
    )


def test_who_opted_out_is_left_out_and_would_have_counted(shown: Shown, store: Path) -> None:
    counted = shown.report(store).followed
    assert counted is not None
    # With patient 38, who came back: 14 of 39.
    assert counted.ppv == 0.36
    # With one of those who did not come back left out as well: 13 of 37.
    fewer = shown.report(store, listed=(name_of(38), name_of(20))).followed
    assert fewer is not None
    assert fewer.ppv == 0.35


def test_a_share_of_few_people_is_not_told() -> None:
    many = [Judged(f"p{number}", 0.3, readmitted=False) for number in range(100)]
    ten = [Judged(f"q{number}", 0.3, readmitted=True) for number in range(10)]
    assert followed(many + ten + ten) is None
    assert followed([*many, *ten, Judged("q10", 0.3, readmitted=True)]) is not None
    assert followed(many) is followed([]) is None


def test_the_audit_knows_that_the_report_was_made(shown: Shown) -> None:
    shown.report(None)
    with shown.keeping.database.reading() as connection:
        (entry,) = list(audit_entries.entries(connection))
    assert entry.event == "feedback_reported"
    assert entry.patient_index is None
    assert json.loads(entry.details) == {
        "cards": 43,
        "first": "2024-03-01",
        "last": "2024-03-31",
    }


app = typer.Typer()
app.command()(feedback)


@pytest.fixture
def call(shown: Shown, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    url = shown.keeping.database.url.render_as_string(hide_password=False)
    listed = tmp_path / "opted-out"
    listed.write_text(name_of(38))
    monkeypatch.setenv("READMIT_DATABASE", url)
    monkeypatch.setenv("READMIT_KEY_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("READMIT_AUDIT_ANCHOR", str(tmp_path / "anchor"))
    monkeypatch.setenv("READMIT_STORE", str(store))
    monkeypatch.setenv("READMIT_OPT_OUT", str(listed))
    monkeypatch.setenv("COLUMNS", "120")
    return lambda *arguments: CliRunner().invoke(app, [*arguments])


def test_the_command_prints_the_same_figures_for_people_and_for_programs(
    call: Any, shown: Shown, store: Path
) -> None:
    done = call("--from", "2024-03-01", "--to", "2024-03-31", "--json")
    assert done.exit_code == 0, done.output
    expected = shown.report(store, listed=(name_of(38),))
    assert msgspec.json.decode(done.stdout, type=CardReport) == expected
    printed = call("--from", "2024-03-01", "--to", "2024-03-31")
    assert printed.exit_code == 0, printed.output
    said = " ".join(printed.stdout.split())
    assert "high at least 33 22 to 32 11 to 21 under 11" in said
    assert "Cardiology at least 11 11 to 21 held back under 11" in said
    assert "mean 5.38, median 5, most 6" in said
    assert "0.34 of the cards" in said
    assert "0.21 to 0.50" in said
    assert not any(name_of(number) in done.stdout + printed.stdout for number in range(42))


def test_without_days_the_last_thirty_are_reported_and_nothing_may_be_in_them(call: Any) -> None:
    done = call("--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    first, last = (date.fromisoformat(answer[name]) for name in ("first", "last"))
    assert last - first == timedelta(days=29)
    assert abs(last - datetime.now(UTC).date()) <= timedelta(days=1)
    assert (answer["burden"], answer["followed"]) == (None, None)
    assert {cell["at_least"] for table in answer["tables"] for cell in table["cells"]} == set()
    assert "fewer than 11 patients" in call().stdout


def test_without_records_it_is_said_that_nobody_knows_what_followed(
    call: Any, tmp_path: Path
) -> None:
    done = call("--from", "2024-03-01", "--to", "2024-03-31", "--store", str(tmp_path / "none"))
    assert done.exit_code == 0, done.output
    assert "What followed is not known" in done.stdout


def test_days_in_the_wrong_order_are_a_mistake(call: Any) -> None:
    assert call("--from", "2024-03-31", "--to", "2024-03-01").exit_code == 2
