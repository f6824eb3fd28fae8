"""Between processes: lines of text, and file descriptors."""
