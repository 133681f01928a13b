"""How many readmissions a unit must expect in the coming weeks, and how far off that may be."""
