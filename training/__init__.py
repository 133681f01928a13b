"""What the model learns: cohort, label, split, fit, calibration, evaluation, and the risk model."""
