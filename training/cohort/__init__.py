"""Who counts, and what happened to them: index stays, exclusions and the label."""
