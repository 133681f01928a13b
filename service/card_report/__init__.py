"""What became of the cards: how many, how often heeded, and whether they were right."""
