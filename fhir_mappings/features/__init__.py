"""Features: declared as data, computed by one engine for a nightly batch and for one prefetch."""
