"""What becomes of a model in use: its drift, its performance, and what is published of it.

``drift`` compares inputs and scores with the model's reference, ``performance`` measures stays
whose outcome is known and estimates the others, ``monitor`` makes a report with alerts of both,
``history`` keeps the reports, and ``transparency`` makes what the public may read.
"""
