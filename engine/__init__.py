"""The back-to-back user agent: dials, bridges and records both parties. Only this package knows pjsua2."""
