"""Worker processes, and what they and their parent say to each other."""
