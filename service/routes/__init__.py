"""The paths of the API, one file a subject; they share what is in ``service``, not each other."""
