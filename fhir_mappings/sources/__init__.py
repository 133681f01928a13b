"""From record to events, one file a resource type.

Each file has one public function named after its resource. It takes the record and the reading
that it is part of, and returns the events of that record: none where the status says that it did
not happen, or that it was entered in error.
"""
