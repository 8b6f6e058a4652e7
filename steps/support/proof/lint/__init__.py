"""Find what is dangerous in a script even if the rehearsal shows no damage."""
