"""A simulated hospital: FHIR R4 records of fictitious people whose true risk is known.

Real records never say what a patient's risk was; these do. So calibration, explanations and the
whole path from record to prediction can be checked against the truth. Nothing measured on these
records is evidence of quality on real ones.
"""

from training.simulated_hospital.simulate import SimulationSummary, simulate

__all__ = ["SimulationSummary", "simulate"]
