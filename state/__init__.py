"""What a call is and where it is kept: every Redis key, script and stream is defined in this package."""
