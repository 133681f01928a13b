"""How well risks hold: measures, intervals from resampled patients, and for whom they hold."""
