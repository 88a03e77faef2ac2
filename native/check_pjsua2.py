"""Proves that the pjsua2 on the import path is our server build. A program: an endpoint is per process."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pjsua2 as pj

CODECS = frozenset({"PCMU", "PCMA", "G722", "opus", "G729", "AMR", "GSM", "speex", "L16"})
CONFIG_SITE = Path(__file__).with_name("config_site.h")


def configured(limit: str) -> int:
    """The value config_site.h gives a limit."""
    found = re.search(rf"^#define {limit} (\d+)$", CONFIG_SITE.read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"{CONFIG_SITE} does not define {limit}")
    return int(found[1])


def complaints() -> list[str]:
    """What differs from the build we want; starts and ends a pjsua2 endpoint."""
    settings = pj.EpConfig()
    settings.logConfig.level = 0
    settings.logConfig.consoleLevel = 0
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    # pjsua's defaults are its compiled limits; it silently cuts larger values down to them.
    compiled = {
        "PJSUA_MAX_CALLS": settings.uaConfig.maxCalls,
        "PJSUA_MAX_CONF_PORTS": settings.medConfig.maxMediaPorts,
    }
    wrong = [
        f"{limit} is {value}, not {configured(limit)}"
        for limit, value in compiled.items()
        if value != configured(limit)
    ]
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    try:
        endpoint.libInit(settings)
        present = {codec.codecId.split("/")[0] for codec in endpoint.codecEnum2()}
    finally:
        endpoint.libDestroy()
    if missing := sorted(CODECS - present):
        wrong.append(f"codecs are missing: {', '.join(missing)}")
    return wrong


if __name__ == "__main__":
    sys.exit("; ".join(complaints()) or 0)
