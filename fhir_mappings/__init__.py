"""What the record says: FHIR R4 resources become events, events a timeline, a timeline a row.

The way through this package, in the order that data takes it::

    records/    typed reading of the FHIR elements that we use
    profiles/   how a site codes its stays, dispositions and local codes
    sources/    one file a resource type: record -> Event
    events      the one shape that everything below reads
    store/      events in Parquet, a shard per group of patients (batch only)
    timeline    one patient's events, indexed by concept
    stays       hospital stays, found in a timeline
    features/   declared features and the one engine that computes them
"""
