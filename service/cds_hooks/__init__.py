"""CDS Hooks 2.0: the EHR tells what somebody is doing, and may get a card for it."""
