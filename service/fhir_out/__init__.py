"""What the service says in FHIR R4 (4.0.1), built with ``fhir.resources.R4B``."""
