"""What surrounds every request: for whom, by which way, how often, and under which headers."""
