"""The card: a score as a clinician meets it inside the EHR, with what could be done about it."""
