"""Published readmission scores, point by point, beside our own risk.

Clinicians know LACE and HOSPITAL. Shown next to a predicted risk with the records behind each
point, they let a reader judge the prediction against something familiar.
"""

from fhir_mappings.clinical_scores.hospital import hospital
from fhir_mappings.clinical_scores.lace import lace
from fhir_mappings.clinical_scores.score import ClinicalScore, ScoreItem

__all__ = ["ClinicalScore", "ScoreItem", "hospital", "lace"]
