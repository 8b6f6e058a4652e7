"""The rehearsal: a server runs on the copy, the change is made and rolled back there, and everything is recorded."""
