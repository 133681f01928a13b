"""What the care manager's pages show: plain functions from what was read to words and choices."""
