"""Drift of inputs and scores equals what scipy says column by column; all values are made up."""

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2_contingency, ks_2samp

from benchmarks.monitoring import column_by_column, made_up, reference_of
from fhir_mappings.errors import StudyError
from training.monitoring.drift import (
    edges,
    kolmogorov_smirnov,
    population_stability,
    score_stability,
    shares,
)
from training.risk_model import FeatureReference


@pytest.fixture(scope="module")
def then():
    return made_up(3_000, 24, seed=1)


@pytest.fixture(scope="module")
def now():
    drifted = made_up(700, 24, seed=2)
    drifted[:, 0] += 1
    drifted[:300, 4] = np.nan
    return drifted


def test_every_statistic_is_scipys_of_the_single_column(then, now):
    reference = reference_of(then)
    peer = np.array(column_by_column(reference, then, now))
    stability, compared = population_stability(reference, now), kolmogorov_smirnov(then, now)
    np.testing.assert_allclose(stability.psi, peer[:, 0], atol=1e-9)
    np.testing.assert_allclose(stability.chance, peer[:, 1], atol=1e-9)
    np.testing.assert_allclose(stability.missing_chance, peer[:, 2], atol=1e-9)
    np.testing.assert_allclose(compared.statistic, peer[:, 3], atol=1e-9)
    np.testing.assert_allclose(compared.chance, peer[:, 4], atol=1e-9)


def test_chunks_of_columns_give_the_same_as_all_columns_together(then, now, monkeypatch):
    reference = reference_of(then)
    together = population_stability(reference, now), kolmogorov_smirnov(then, now)
    monkeypatch.setattr("training.monitoring.drift._CELLS", 5 * len(then))
    apart = population_stability(reference, now), kolmogorov_smirnov(then, now)
    np.testing.assert_array_equal(together[0].psi, apart[0].psi)
    np.testing.assert_array_equal(together[1].statistic, apart[1].statistic)


def test_the_same_stays_show_no_drift(then):
    stability = population_stability(reference_of(then), then)
    assert stability.psi.max() < 1e-12
    assert stability.chance.min() == pytest.approx(1)
    np.testing.assert_allclose(stability.missing, stability.missing_reference)


def test_a_shift_and_a_loss_of_values_stand_out_and_nothing_else(then, now):
    stability = population_stability(reference_of(then), now)
    assert set(np.flatnonzero(stability.psi > 0.25)) == {0, 4}
    assert set(np.flatnonzero(stability.chance * 24 < 0.05)) == {0, 4}
    assert set(np.flatnonzero(stability.missing_chance * 24 < 0.05)) == {4}


def test_a_rare_finding_that_becomes_common_is_seen_although_its_deciles_are_all_0():
    then = np.zeros((2_000, 1), dtype=np.float32)
    then[:10] = 1
    now = np.zeros((500, 1), dtype=np.float32)
    now[:100] = 1
    reference = reference_of(then)
    assert reference.features[0].shares == pytest.approx((0.995, 0.005))
    assert population_stability(reference, now).psi[0] > 0.25
    assert population_stability(reference, then[::4]).psi[0] < 0.01


@pytest.mark.parametrize(
    ("quantiles", "ends"),
    [
        (tuple(range(11)), tuple(range(1, 10))),
        ((0.0,) * 10 + (1.0,), (0.0,)),
        ((0.0,) + (1.0,) * 10, (0.0,)),
        ((3.0,) * 11, ()),
        ((), ()),
    ],
)
def test_equal_deciles_are_one_end_of_a_bin(quantiles, ends):
    assert edges(quantiles) == ends


def test_the_shares_of_the_bins_add_up_to_every_value():
    known = np.array([0, 0, 0, 1, 1, 2, 5.5, 7])
    quantiles = tuple(np.quantile(known, np.linspace(0, 1, 11)).tolist())
    assert sum(shares(quantiles, known)) == pytest.approx(1)
    assert shares(quantiles, known)[0] == 3 / 8


def test_a_feature_that_never_had_a_value_drifts_when_it_gets_one():
    then = np.full((1_000, 1), np.nan, dtype=np.float32)
    reference = reference_of_nothing(then)
    assert population_stability(reference, then[:200]).psi[0] == 0
    assert population_stability(reference, np.ones((200, 1), dtype=np.float32)).psi[0] > 0.25


def reference_of_nothing(then):
    one = reference_of(np.zeros((len(then), 1), dtype=np.float32))
    return msgspec.structs.replace(one, features=(FeatureReference("f0", 1.0, (), True),))


def test_a_model_without_shares_is_read_by_its_deciles(then):
    reference = reference_of(then)
    older = msgspec.structs.replace(
        reference,
        features=tuple(msgspec.structs.replace(f, shares=()) for f in reference.features),
    )
    measured = [column for column in range(24) if column % 4 < 2]
    assert population_stability(older, then).psi[measured].max() < 1e-4


def test_the_scores_are_compared_with_the_deciles_of_the_training_stays():
    random = np.random.default_rng(3)
    risks = random.beta(2, 10, 5_000)
    reference = msgspec.structs.replace(
        reference_of(np.zeros((5_000, 1), dtype=np.float32)),
        risk_quantiles=tuple(np.quantile(risks, np.linspace(0, 1, 11)).tolist()),
    )
    psi, chance = score_stability(reference, risks)
    assert psi < 1e-6
    assert chance > 0.99
    psi, chance = score_stability(reference, np.minimum(1, risks * 2))
    assert psi > 0.25
    assert chance < 1e-6


small = st.floats(-3, 3, width=32).map(lambda value: np.float32(round(value)))
columns = arrays(np.float32, st.integers(1, 40), elements=small | st.just(np.float32(np.nan)))


@settings(max_examples=60, deadline=None)
@given(columns, columns)
def test_the_distance_is_scipys_whatever_ties_and_gaps_there_are(x, y):
    ours = kolmogorov_smirnov(x[:, None], y[:, None])
    known, compared = x[~np.isnan(x)], y[~np.isnan(y)]
    if not len(known) or not len(compared):
        assert np.isnan(ours.statistic[0])
        assert np.isnan(ours.chance[0])
        return
    assume(len(known) * len(compared) > (len(known) + len(compared)) / 2)  # else scipy divides by 0
    peer = ks_2samp(known, compared, method="asymp")
    assert ours.statistic[0] == pytest.approx(peer.statistic, abs=1e-9)
    assert ours.chance[0] == pytest.approx(peer.pvalue, abs=1e-9)


def test_the_chance_of_missing_values_is_the_chi_square_test_of_two_shares():
    then = np.ones((400, 1), dtype=np.float32)
    then[:40] = np.nan
    now = np.ones((100, 1), dtype=np.float32)
    now[:25] = np.nan
    expected = chi2_contingency([[360, 40], [75, 25]], correction=False).pvalue
    found = population_stability(reference_of(then), now).missing_chance[0]
    assert found == pytest.approx(expected)


def test_columns_of_another_model_are_refused(then):
    reference = reference_of(then)
    with pytest.raises(StudyError, match="24 features"):
        population_stability(reference, then[:, :3])
    with pytest.raises(StudyError, match="no stay"):
        population_stability(reference, then[:0])
    with pytest.raises(StudyError, match="cannot be compared"):
        kolmogorov_smirnov(then, then[:, :3])
    with pytest.raises(StudyError, match="no quantiles"):
        score_stability(reference, np.array([0.1]))
