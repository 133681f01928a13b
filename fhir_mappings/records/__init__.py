"""Typed reading of FHIR R4: files into lines, lines into records, Bundles taken apart.

Only the elements that become events are decoded; the rest of a resource is skipped at no cost.
"""
