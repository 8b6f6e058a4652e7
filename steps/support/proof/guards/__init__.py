"""Which figures a transaction of a change holds, chosen from the scripts and from what the rehearsal saw."""
