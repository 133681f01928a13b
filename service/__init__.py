"""What the clinic sees: scores, their explanations in words, and the command ``readmit``."""
