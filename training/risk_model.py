"""The door between training and the clinic: save, load, score and explain a risk model.

A risk model is a folder without pickle: ``model.ubj`` (XGBoost's trees), ``features.json`` (the
declarations of its columns), ``calibration.json``, ``reference.json`` and ``manifest.json`` with a
SHA-256 of each. Every file is checked before any is parsed: a damaged ``model.ubj`` can crash or
hang the interpreter inside XGBoost, where no exception can be caught.

This module imports no other training file but the curve of returns, and neither mlflow nor pandas:
the service starts with it alone.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import xgboost

from fhir_mappings.errors import RiskModelError
from fhir_mappings.features.declaration import Feature
from training.return_curve import Remaining, ReturnCurve

Band = Literal["low", "moderate", "high"]

MODEL, FEATURES, CALIBRATION, REFERENCE, MANIFEST = (
    "model.ubj",
    "features.json",
    "calibration.json",
    "reference.json",
    "manifest.json",
)
CHAMPION = "champion.json"
"""In the folder of MLflow: which registered version is in use, and where it lies."""
FORMAT = 1
"""The layout of the folder that this code reads and writes."""
UNREGISTERED = "unregistered"


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An estimate with its 95 % interval; None where it cannot be estimated."""

    value: float | None
    low: float | None
    high: float | None


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``logit p = slope * margin + intercept``."""

    slope: float
    intercept: float


class FeatureReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a feature was distributed over the training stays, to measure drift against."""

    name: str
    missing: float
    """Share of training stays without a value."""
    quantiles: tuple[float, ...]
    """The 0 %, 10 %, ... 100 % quantiles of the values there are; empty when there are none."""
    used: bool
    """Whether any tree may split on it; otherwise its contribution is always 0."""
    shares: tuple[float, ...] = ()
    """Share of those values in each bin between the quantiles (``monitoring.drift.shares``): of a
    feature with many equal values the quantiles alone do not tell it. Empty in models made before
    it was kept."""


class Reference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model was made from and for, and how it did on patients it had not seen."""

    intended_population: str
    outcome: str
    horizon_days: int
    profile: str
    """The site profile of the records that it learned from."""
    data_fingerprint: str
    """SHA-256 of the training data."""
    split: str
    """How train and test were separated."""
    training_stays: int
    training_readmissions: int
    prevalence: float
    """Share of training stays that were followed by a readmission."""
    low_below: float
    """Risks below are low: below the prevalence, no more than the average stay."""
    high_from: float
    """Risks from here on are high: the top fifth of the training stays' out-of-fold risks, and
    never below the prevalence."""
    risk_quantiles: tuple[float, ...]
    """The 0 %, 10 %, ... 100 % quantiles of the training stays' out-of-fold risks."""
    features: tuple[FeatureReference, ...]
    test: dict[str, Interval]
    """The model's measures on the test stays by name."""
    baselines: dict[str, dict[str, Interval]]
    """The same of LACE, HOSPITAL and the prevalence on the same stays."""
    returns: ReturnCurve | None = None
    """When the readmissions of the training stays happened. None in models made before it was kept,
    and where too few happened."""
    overdispersion: float | None = None
    """How many times as far as by chance alone the readmissions of a unit and week lie from what
    the risks add up to, as a variance (``training.forecast.overdispersion``); at least 1. None
    where it is not known."""


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    name: str
    files: dict[str, str]


class Champion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The registered version in use."""

    name: str
    version: str
    run_id: str
    folder: str
    """Relative to the folder of MLflow."""
    manifest_sha256: str


@dataclass(frozen=True)
class Prediction:
    """One stay's risk and what it is made of, in log-odds.

    ``baseline + sum(contributions) == log_odds`` within 1e-5; the contributions (TreeSHAP) stand
    in the order of the model's features.
    """

    probability: float
    log_odds: float
    baseline: float
    contributions: tuple[float, ...]


class RiskModel:
    """A loaded risk model. It does not change after loading and may be shared by threads."""

    def __init__(
        self,
        *,
        booster: xgboost.Booster,
        features: tuple[Feature, ...],
        calibration: Calibration,
        reference: Reference,
        name: str,
        version: str,
        run_id: str | None,
        fingerprint: str,
    ) -> None:
        self._booster = booster
        self.features = features
        self.calibration = calibration
        self.reference = reference
        self.name = name
        self.version = version
        """The version in the registry, or ``unregistered``."""
        self.run_id = run_id
        self.fingerprint = fingerprint
        """SHA-256 of the manifest, and so of all that the model is."""

    @property
    def horizon_days(self) -> int:
        """Days after discharge within which a readmission counts."""
        return self.reference.horizon_days

    def predict(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Probability of readmission for each row of stays x features, NaN where missing.

        Raises:
            RiskModelError: if the number of columns is not the model's, or a value is infinite.
        """
        return _expit(self._log_odds(self._matrix(values)))

    def explain(self, row: npt.ArrayLike) -> Prediction:
        """The risk of one stay, given its value for each feature, with every contribution.

        Raises:
            RiskModelError: if the number of values is not the model's, or one is infinite.
        """
        return self.explain_many(np.asarray(row, dtype=np.float32).reshape(1, -1))[0]

    def explain_many(self, values: npt.ArrayLike) -> list[Prediction]:
        """``explain`` for each row of stays x features.

        Raises:
            RiskModelError: if the number of columns is not the model's, or a value is infinite.
        """
        matrix = self._matrix(values)
        log_odds = self._log_odds(matrix)
        probabilities = _expit(log_odds).tolist()
        shares = self._booster.predict(matrix, pred_contribs=True).astype(np.float64)
        contributions = (shares[:, :-1] * self.calibration.slope).tolist()
        baselines = (shares[:, -1] * self.calibration.slope + self.calibration.intercept).tolist()
        return [
            Prediction(probability, odds, baseline, tuple(row))
            for probability, odds, baseline, row in zip(
                probabilities, log_odds.tolist(), baselines, contributions, strict=True
            )
        ]

    def band(self, probability: float) -> Band:
        """Low, moderate or high, by the thresholds that were set on the training stays."""
        if probability >= self.reference.high_from:
            return "high"
        return "low" if probability < self.reference.low_below else "moderate"

    def remaining_risk(self, probability: float, days: float) -> Interval:
        """What is left of a risk for a patient who is at home, alive and not back.

        Args:
            probability: of a readmission within the horizon, as predicted at discharge.
            days: since discharge; before it counts as 0.

        Returns:
            The risk itself at day 0, and 0 after the horizon. The interval is that of the curve
            (``return_curve.Remaining``). None throughout where the model has no curve.
        """
        found = self.remaining_risks([probability], [days])
        if self.reference.returns is None:
            return Interval(None, None, None)
        return Interval(*(float(each[0]) for each in found))

    def remaining_risks(self, probabilities: npt.ArrayLike, days: npt.ArrayLike) -> Remaining:
        """``remaining_risk`` for many patients at once; NaN where the model has no curve."""
        if self.reference.returns is not None:
            return self.reference.returns.remaining(probabilities, days)
        unknown = np.full(np.broadcast(probabilities, days).shape, np.nan)
        return Remaining(unknown, unknown, unknown)

    def _matrix(self, values: npt.ArrayLike) -> xgboost.DMatrix:
        rows = np.asarray(values, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != len(self.features):
            raise RiskModelError(
                f"values have shape {rows.shape}; the model {self.name} {self.version} takes "
                f"stays x {len(self.features)} features"
            )
        if np.isinf(rows).any():
            column = int(np.flatnonzero(np.isinf(rows).any(axis=0))[0])
            raise RiskModelError(f"feature {self.features[column].name} has an infinite value")
        return xgboost.DMatrix(rows, nthread=1)

    def _log_odds(self, matrix: xgboost.DMatrix) -> npt.NDArray[np.float64]:
        margins = self._booster.predict(matrix, output_margin=True).astype(np.float64)
        calibrated: npt.NDArray[np.float64] = (
            margins * self.calibration.slope + self.calibration.intercept
        )
        return calibrated


def _expit(log_odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # Written with exp(-|x|), which cannot overflow.
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1 / (1 + small), small / (1 + small))


def save_risk_model(
    folder: Path,
    *,
    name: str,
    booster: bytes,
    features: tuple[Feature, ...],
    calibration: Calibration,
    reference: Reference,
) -> str:
    """Write a risk model to a new folder and return the SHA-256 of its manifest.

    Nothing in it depends on the clock or the machine: the same study gives the same bytes.

    Args:
        folder: is created; must not exist.
        name: of the model in the registry.
        booster: the trees as UBJSON (``Booster.save_raw("ubj")``).
        features: the declarations of the columns, in their order.
        calibration: of the margin.
        reference: population, prevalence, thresholds, drift reference, measures.

    Raises:
        RiskModelError: if the folder exists.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise RiskModelError(
            f"{folder.name} is there already; a model is never overwritten"
        ) from None
    contents = {
        MODEL: booster,
        FEATURES: _json(features),
        CALIBRATION: _json(calibration),
        REFERENCE: _json(reference),
    }
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    manifest = _json(
        _Manifest(FORMAT, name, {file: _sha256(content) for file, content in contents.items()})
    )
    (folder / MANIFEST).write_bytes(manifest)
    return _sha256(manifest)


def load_risk_model(
    folder: Path,
    *,
    version: str = UNREGISTERED,
    run_id: str | None = None,
    manifest_sha256: str | None = None,
) -> RiskModel:
    """Load a risk model after every file in its folder has been checked against the manifest.

    Args:
        folder: as ``save_risk_model`` wrote it.
        version: in the registry.
        run_id: of the MLflow run that made it.
        manifest_sha256: what the manifest itself must be, where somebody has kept a record of it.

    Raises:
        RiskModelError: if a file is missing, changed or not of ours, if the format is another, or
            if trees, features and reference do not belong together.
    """
    manifest, contents, fingerprint = _checked(folder, manifest_sha256)
    features = _parsed(contents, FEATURES, tuple[Feature, ...])
    calibration = _parsed(contents, CALIBRATION, Calibration)
    reference = _parsed(contents, REFERENCE, Reference)
    # One thread: waking others takes longer than scoring a row does, and the service has its own.
    booster = xgboost.Booster({"nthread": 1})
    try:
        booster.load_model(bytearray(contents[MODEL]))
    except xgboost.core.XGBoostError:
        raise RiskModelError(f"{MODEL} is not a model that XGBoost can read") from None
    if booster.num_features() != len(features):
        raise RiskModelError(
            f"{MODEL} has {booster.num_features()} features and {FEATURES} declares {len(features)}"
        )
    if [feature.name for feature in features] != [item.name for item in reference.features]:
        raise RiskModelError(f"{FEATURES} and {REFERENCE} name different features")
    if reference.returns and reference.returns.horizon_days != reference.horizon_days:
        raise RiskModelError(f"{REFERENCE}: the curve of returns has another horizon")
    if reference.overdispersion is not None and not reference.overdispersion >= 1:
        raise RiskModelError(f"{REFERENCE}: the overdispersion must be at least 1")
    if calibration.slope <= 0:
        raise RiskModelError(f"{CALIBRATION}: the slope must be above 0")
    model = RiskModel(
        booster=booster,
        features=features,
        calibration=calibration,
        reference=reference,
        name=manifest.name,
        version=version,
        run_id=run_id,
        fingerprint=fingerprint,
    )
    # XGBoost configures itself on the first prediction; two threads must not do so at once.
    model.explain(np.full(len(features), np.nan, dtype=np.float32))
    return model


def fingerprint(folder: Path) -> str:
    """SHA-256 of a risk model's manifest, after every file was checked against it.

    Raises:
        RiskModelError: if a file is missing, changed or not of ours.
    """
    return _checked(folder, None)[2]


def champion(mlruns: Path) -> RiskModel:
    """The model in use, by the note that promotion leaves beside MLflow's database.

    MLflow's registry remains the record. The note spares the service an import of three seconds
    and a database, and pins the manifest's SHA-256: a folder swapped behind MLflow's back is
    refused.

    Raises:
        RiskModelError: if no model is in use, or it cannot be loaded.
    """
    note = read_champion(mlruns)
    if note is None:
        raise RiskModelError(f"no model is in use yet: {CHAMPION} is absent; train one first")
    folder = (mlruns / note.folder).resolve()
    if not folder.is_relative_to(mlruns.resolve()):
        raise RiskModelError(f"{CHAMPION} points outside the folder of MLflow")
    return load_risk_model(
        folder, version=note.version, run_id=note.run_id, manifest_sha256=note.manifest_sha256
    )


def read_champion(mlruns: Path) -> Champion | None:
    """Which model is in use; None when there is none yet.

    Raises:
        RiskModelError: if the note is malformed.
    """
    try:
        content = (mlruns / CHAMPION).read_bytes()
    except FileNotFoundError:
        return None
    note: Champion = _parsed({CHAMPION: content}, CHAMPION, Champion)
    return note


def write_champion(mlruns: Path, note: Champion) -> None:
    """Put the note of the model in use in place at once, so that no reader sees half of it."""
    temporary = mlruns / f".{CHAMPION}.{os.getpid()}"
    temporary.write_bytes(_json(note))
    temporary.replace(mlruns / CHAMPION)


def _checked(
    folder: Path, manifest_sha256: str | None
) -> tuple[_Manifest, Mapping[str, bytes], str]:
    """The manifest and the contents it vouches for, none of them parsed yet."""
    if not folder.is_dir():
        raise RiskModelError(f"{folder.name} is not a folder: there is no risk model here")
    content = _read(folder, MANIFEST)
    fingerprint = _sha256(content)
    if manifest_sha256 is not None and fingerprint != manifest_sha256:
        raise RiskModelError(f"{MANIFEST} is not the one that was registered")
    manifest = _parsed({MANIFEST: content}, MANIFEST, _Manifest)
    if manifest.format != FORMAT:
        raise RiskModelError(f"{MANIFEST}: format {manifest.format} where {FORMAT} is read")
    expected = {MODEL, FEATURES, CALIBRATION, REFERENCE}
    if manifest.files.keys() != expected:
        odd = sorted(manifest.files.keys() ^ expected)
        raise RiskModelError(f"{MANIFEST} lists too few or too many files: {', '.join(odd)}")
    if extra := sorted({path.name for path in folder.iterdir()} - expected - {MANIFEST}):
        raise RiskModelError(f"not of the manifest: {', '.join(extra)}")
    contents = {file: _read(folder, file) for file in sorted(expected)}
    for file, content in contents.items():
        if _sha256(content) != manifest.files[file]:
            raise RiskModelError(f"{file} is not what the manifest says: it was changed or damaged")
    return manifest, contents, fingerprint


def _read(folder: Path, file: str) -> bytes:
    try:
        return (folder / file).read_bytes()
    except FileNotFoundError:
        raise RiskModelError(f"{file} is missing from the risk model") from None


def _parsed(contents: Mapping[str, bytes], file: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(contents[file], type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RiskModelError(f"{file}: {error}") from None


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2) + b"\n"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
