"""Who is on the morning's list, who leaves it, and what a row says. All patients are fictitious."""

import json
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from records import clock, encounter, lab, moment, patient, store_timeline
from ward import NOW, Ward, stay

from fhir_mappings.consent import OptOuts
from fhir_mappings.errors import UnprocessableError
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from service.kept_scores import ROW_CONTEXT, opened
from service.protection.sealing import unseal
from service.score import Scored
from service.scoring import score_stay
from service.work_list.rows import stay_index_of

pytestmark = pytest.mark.usefixtures("each_database")

Made = Callable[..., Ward]


def test_who_is_in_hospital_or_left_it_within_thirty_days_is_listed_and_nobody_else(
    ward_of: Made,
) -> None:
    ward = ward_of(
        patient("inside"), *stay("s1", "inside", 38, None),
        patient("recent"), *stay("s2", "recent", 5, 10.5),
        patient("long-ago"), *stay("s3", "long-ago", 5, 9.5),
        patient("tomorrow"), *stay("s4", "tomorrow", 41, None),
        patient("forgotten"), *stay("s5", "forgotten", -400, None),
        patient("clinic"), encounter("s6", 39, 39.1, kind="AMB", who="clinic"),
    )  # fmt: skip
    summary = ward.run(40)
    assert ward.listed() == {"inside", "recent"}
    assert (summary.patients, summary.scored, summary.listed) == (2, 2, 2)


def test_a_discharge_that_lies_ahead_is_not_known_yet(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 38, 45))
    ward.run(40)
    assert ward.rows()["ada"].discharged_at is None
    ward.run(46)
    assert ward.rows()["ada"].discharged_at == moment(45)


def test_batch_and_online_give_the_same_answer(ward_of: Made) -> None:
    """The one engine: a discharge is scored as of itself, a patient in hospital as of now."""
    ward = ward_of(
        patient("home"), *stay("s1", "home", 20, 30, sodium=121),
        patient("inside"), *stay("s2", "inside", 38, None),
    )  # fmt: skip
    ward.run(40)
    for who, as_of in (("home", moment(30)), ("inside", moment(40))):
        timeline = store_timeline(ward.store, who)
        rows: list[list[float]] = []
        online = score_stay(
            ward.model,
            timeline,
            timeline.stays[-1],
            as_of,
            opt_outs=OptOuts(frozenset(), 0),
            note=lambda row, _: rows.append(list(row)),  # noqa: B023  called at once
        )
        (row,) = ward.scores_of(who)
        with ward.keeping() as keeping:
            kept = opened(keeping.keys, row)
            assert row.row_sealed is not None
            inputs = json.loads(unseal(keeping.keys, row.row_sealed, ROW_CONTEXT))
        assert isinstance(online, Scored)
        assert kept == msgspec.structs.replace(online, score_id=row.id)
        names = [feature.name for feature in ward.model.features]
        assert [inputs[name] for name in names] == [None if v != v else v for v in rows[0]]


def test_a_row_says_what_one_line_of_the_list_needs(ward_of: Made) -> None:
    ward = ward_of(patient("ada", birthDate="1944-03-02"), *stay("s1", "ada", 20, 30, "J18.9"))
    ward.run(40)
    row, (score,) = ward.rows()["ada"], ward.scores_of("ada")
    assert (row.unit, row.discharged_at, row.left) == ("ward-7", moment(30), None)
    assert row.condition_group == "pneumonia"
    assert (row.probability, row.band, row.score_id) == (score.probability, score.band, score.id)
    groups = json.loads(row.groups)
    assert (groups["sex"], groups["age_band"], groups["site"]) == ("female", "75 to 84", "ward-7")
    with ward.keeping() as keeping:
        whole = opened(keeping.keys, score)
        assert row.stay_index == stay_index_of(keeping.keys, "ada", "s1")
    assert isinstance(whole, Scored)
    assert (row.lace, row.hospital) == (whole.lace.points, whole.hospital.points)
    shown = ward.summary("ada")
    assert shown is not None
    raising = [reason.phrase for reason in whole.reasons if reason.direction == "raises"]
    assert raising, "a score without a reason would show nothing here"
    assert list(shown.raising) == raising[:3]
    assert (shown.age, shown.sex, shown.missing) == (80, "female", len(whole.missing_inputs))


def test_nothing_in_the_database_names_a_patient(ward_of: Made) -> None:
    ward = ward_of(patient("Zebedee-7"), *stay("s1", "Zebedee-7", 20, 30))
    ward.run(40)
    row = ward.rows()["Zebedee-7"]
    assert b"Zebedee" not in b"".join(
        value if isinstance(value, bytes) else str(value).encode()
        for value in msgspec.structs.astuple(row)
    )


def test_the_remaining_risk_falls_from_day_to_day_without_scoring_anew(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 20, 30))
    remaining = []
    for day in (30, 33, 37, 59):
        summary = ward.run(day)
        row = ward.rows()["ada"]
        assert row.remaining is not None
        assert row.remaining_low is not None
        assert row.remaining_high is not None
        assert row.remaining_low <= row.remaining <= row.remaining_high
        expected = ward.model.remaining_risk(row.probability or 0, day - 30)
        assert row.remaining == pytest.approx(expected.value, rel=1e-12)
        remaining.append(row.remaining)
        assert summary.scored == (day == 30)
    assert remaining == sorted(remaining, reverse=True)
    assert remaining[0] == pytest.approx(ward.rows()["ada"].probability)
    assert len(ward.scores_of("ada")) == 1
    assert len(ward.given()) == 1


def test_after_thirty_days_the_patient_leaves_the_list(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 20, 30))
    ward.run(59)
    summary = ward.run(60.5)
    row = ward.rows()["ada"]
    assert (row.left, row.remaining, summary.left) == ("over", None, {"over": 1})
    assert row.probability is not None, "what the month is looked back on by"


def test_who_comes_back_is_listed_with_the_new_stay(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 20, 30))
    ward.run(33)
    first = ward.rows()["ada"].stay_index
    ward.record(*stay("s2", "ada", 35, None))
    summary = ward.run(36)
    row = ward.rows()["ada"]
    assert (row.left, row.discharged_at) == (None, None)
    assert row.stay_index != first
    assert summary.left == {"readmitted": 1}


def test_who_comes_back_to_a_stay_that_the_model_is_not_for_leaves_as_readmitted(
    ward_of: Made,
) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 20, 30))
    ward.run(33)
    ward.record(*stay("s2", "ada", 35, 36, disposition="other-hcf"))
    summary = ward.run(37)
    assert ward.rows()["ada"].left == "readmitted"
    assert summary.not_scored == {"transferred_out": 1}
    assert summary.left == {"readmitted": 1}


def test_a_transfer_within_the_stay_is_no_readmission(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 20, 30))
    ward.run(30.1)
    ward.record(*stay("s2", "ada", 30.2, None))
    summary = ward.run(31)
    row = ward.rows()["ada"]
    assert (row.left, row.discharged_at, summary.left) == (None, None, {})


def test_who_died_at_home_leaves_the_list(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 20, 30))
    ward.run(33)
    ward.record(patient("ada", deceasedDateTime=clock(34), meta={"lastUpdated": clock(34.5)}))
    summary = ward.run(35)
    assert ward.rows()["ada"].left == "deceased"
    assert (summary.left, summary.not_scored) == ({"deceased": 1}, {"deceased": 1})
    assert ward.run(36).unchanged == 1


def test_who_died_in_hospital_is_never_listed(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 20, 30, disposition="exp"))
    summary = ward.run(33)
    assert ward.listed() == set()
    assert (ward.rows()["ada"].left, summary.not_scored) == ("deceased", {"died": 1})


def test_a_child_is_counted_with_the_reason_and_not_listed(ward_of: Made) -> None:
    ward = ward_of(patient("kit", birthDate="2015-01-01"), *stay("s1", "kit", 20, 30))
    summary = ward.run(33)
    assert summary.not_scored == {"child": 1}
    assert (ward.rows()["kit"].left, ward.rows()["kit"].probability) == ("not_scored", None)
    assert ward.run(34).unchanged == 1


def test_who_opts_out_leaves_the_list_and_what_was_said_of_them_goes(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 20, 30))
    ward.run(33)
    # Each night has its clock: of two answers of one moment, none would be the newest.
    summary = ward.run(34, now=NOW + timedelta(days=1), opted_out=["ada"])
    row = ward.rows()["ada"]
    assert row.left == "opted_out"
    assert (row.summary_sealed, row.probability, row.unit, row.discharged_at) == (None,) * 4
    assert row.groups == "{}"
    assert summary.left == {"opted_out": 1}
    assert ward.scores_of("ada")[0].refused, "so that earlier scores are not shown either"
    assert ward.run(35, now=NOW + timedelta(days=2), opted_out=["ada"]).unchanged == 1
    ward.run(36, now=NOW + timedelta(days=3))
    assert ward.listed() == {"ada"}, "who changes their mind is listed again"


def test_a_refusal_is_forgotten_with_the_stay(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 20, 30))
    ward.run(34, opted_out=["ada"])
    ward.run(61, opted_out=["ada"])
    assert ward.rows() == {}


def test_a_stay_that_was_entered_in_error_leaves_the_list(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 20, 30))
    ward.run(33)
    wrong = stay("s1", "ada", 20, 30)[0]
    updated = {"status": "entered-in-error", "meta": {"lastUpdated": clock(34)}}
    ward.record(wrong | updated)
    assert ward.run(35).left == {"not_scored": 1}
    assert ward.rows()["ada"].left == "not_scored"
    ward.record(wrong | {"meta": {"lastUpdated": clock(36)}})
    ward.run(37)
    assert ward.listed() == {"ada"}


def test_a_value_beyond_computing_is_counted_and_the_run_goes_on(ward_of: Made) -> None:
    ward = ward_of(
        patient("ada", birthDate="1950-05-20"), *stay("s1", "ada", 20, 30, sodium=131),
        patient("bo"), *stay("s2", "bo", 20, 30),
    )  # fmt: skip
    model = ward.model
    huge = msgspec.structs.replace(
        model.features[0], measure="maximum", of="code:LOINC|99-9", window="ever", cap=None
    )
    model.features = (huge, *model.features[1:])
    ward.record(lab("big", 21, 1e39, loinc="99-9", unit="1", who="ada"))
    summary = ward.run(33, model=model)
    assert summary.not_scored == {"unprocessable": 1}
    assert ward.listed() == {"bo"}


def test_records_with_shifted_dates_are_refused(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 20, 30))
    shifted = msgspec.structs.replace(load_profile("default"), calendar=False)
    with pytest.raises(UnprocessableError, match="shifted"):
        ward.run(33, profile=shifted)


def test_a_principal_diagnosis_outside_the_groups_is_other_and_none_is_none(ward_of: Made) -> None:
    bare = [encounter("s2", 20, 30, who="bo"), stay("s2", "bo", 20, 30)[2]]
    ward = ward_of(
        patient("ada"), *stay("s1", "ada", 20, 30, "R55"), patient("bo"), *bare,
        patient("cy"), *stay("s3", "cy", 20, 30, "E11.65"),
    )  # fmt: skip
    ward.run(33)
    groups = {who: row.condition_group for who, row in ward.rows().items()}
    assert groups == {"ada": "other", "bo": None, "cy": "diabetes"}


def test_nobody_in_the_window_is_an_empty_list_and_no_fault(ward_of: Made) -> None:
    ward = ward_of(patient("ada"), *stay("s1", "ada", 1, 2))
    summary = ward.run(90)
    assert (summary.patients, summary.listed) == (0, 0)


def test_a_few_patients_of_a_row_group_are_read_whole(ward_of: Made) -> None:
    ward = ward_of(
        patient("ada"), *stay("s1", "ada", 20, 30), patient("bo"), *stay("s2", "bo", 20, 30)
    )
    with open_store(ward.store) as store:
        for shard in range(store.shards):
            every = dict(store.read_shard(shard))
            for group, table in enumerate(store.groups(shard, ["subject_id", "subject"])):
                numbers = dict(
                    zip(
                        table.column("subject").to_pylist(),
                        table.column("subject_id").to_pylist(),
                        strict=True,
                    )
                )
                for who, number in numbers.items():
                    assert dict(store.read_group(shard, group, [number])) == {who: every[who]}
