"""The commands, one file a concern. Each imports what it needs when it runs, and not before."""
