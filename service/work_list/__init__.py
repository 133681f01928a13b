"""The list of patients to follow up: whom it holds, how it is asked for, and how it is answered."""
