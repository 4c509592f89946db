"""What goes wrong: of what kind it is, without keys, and slips that are told before anything runs."""
