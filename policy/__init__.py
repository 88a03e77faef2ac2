"""Which numbers a call may be with: decided from the settings and the numbering plans alone."""
