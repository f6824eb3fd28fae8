"""Parts of the links of every bus: backpressure, the log of link states, and the resolution of host names."""
