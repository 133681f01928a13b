"""The patient's page: one kept score, from the figure down to the records, for whoever cares."""
