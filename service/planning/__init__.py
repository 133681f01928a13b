"""Planning: how many readmissions the coming weeks bring, by unit, from the list as it is."""
