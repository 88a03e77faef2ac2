"""How a machine is made ready: Debian packages, the pjsua2 wheel, the virtual environment.

Runs on Debian's own python3 before any virtual environment exists, so it uses the standard library only.
"""
