"""Events: an EHR tells that a stay has ended, and finds the risk in its own records.

Three steps, each a transaction, so that a process may die between any two: what was told is entered
(``receiving``); its records are fetched and scored, and what is to be written is entered together
with the score (``scoring``); what is to be written is delivered (``delivery``).
"""
