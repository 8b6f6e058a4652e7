"""What a script does that is dangerous whatever the rehearsal sees."""
