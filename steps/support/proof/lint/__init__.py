"""Find statements of a script that are dangerous even if the rehearsal shows no damage."""
