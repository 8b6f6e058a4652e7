"""What everything else stands on: errors, text, files, child processes, time, asking again."""
