"""Worker processes, and how they appear to the processes that pass them connections."""
