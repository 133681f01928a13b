"""The care managers' list: what a row of it is, and which clinical group a stay belongs to."""
