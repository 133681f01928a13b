"""The month: what the calls were, and what became of those who were called and who were not."""
