"""What everything else depends on: errors, events, text, files, child processes, time, retries."""
