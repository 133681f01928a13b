"""The batch run: every patient who is in hospital or has just left it, scored into the database."""
