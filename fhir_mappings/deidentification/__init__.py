"""Records without identifiers: an allow-list by element, pseudonyms, dates, and what was removed.

What this package writes is FHIR R4 NDJSON that ``ingest`` reads as any other. Nothing is taken out
of a record; a new one is written from what the allow-list names and its treatment recognises
(``allow_list.csv``). The rule is 45 CFR 164.514(b)(2), HIPAA's Safe Harbor.
"""
