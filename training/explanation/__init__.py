"""Explaining a model as a whole: what moves its risks, how steadily so, and whether it cheats."""
