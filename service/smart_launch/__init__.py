"""SMART App Launch 2.2, EHR launch: an EHR opens one patient's chart here, for whoever is there."""
