"""Concepts: what a code means, defined once for features, scores, cohort rules and displays.

A concept is a named set of codes (``lab.sodium``, ``charlson.congestive_heart_failure``). The
tables beside this file say which codes belong to it, each with its source and version; a site
profile adds a hospital's own codes without touching Python.
"""

from fhir_mappings.concepts.loading import load_concepts
from fhir_mappings.concepts.tables import ConceptTables

__all__ = ["ConceptTables", "load_concepts"]
