"""Working the list: how far each discharged patient has been followed up, by whom, until when."""
