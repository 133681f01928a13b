"""The service's own database: SQLite by default, PostgreSQL by URL. All SQL is in this folder.

Events do not live here (``fhir_mappings/store`` has them): this is what the service itself makes
and must account for: scores it gave, who signed in, what was seen by whom.
"""
