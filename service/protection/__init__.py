"""What keeps identifiers unreadable at rest: the operator's keys, sealing, and keyed pseudonyms."""
