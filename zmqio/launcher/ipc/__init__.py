"""Communication between processes: lines of text and file descriptors over socket pairs."""
