"""What was done, by whom, to whose record, and why: appended to, chained, and never changed."""
