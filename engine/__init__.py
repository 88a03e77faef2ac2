"""The back-to-back user agent: dials both parties, bridges and records them. Only this package knows pjsua2."""
