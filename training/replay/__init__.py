"""Replay: what a score was made of, kept when it was given, to be recomputed when somebody asks."""
