"""Speed and quality, measured against named peers in the same run.

Machines differ and are shared, so a figure stands as a ratio wherever a peer exists: both sides
are run in turns, and medians are compared.
"""
