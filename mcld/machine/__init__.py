"""What the machine lends: files, locks, processes, compiled functions."""
