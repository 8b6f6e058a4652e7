"""How a run goes: step protocol, time budget, journal, lock, signals."""
