"""`python -m engine`: one engine process."""

from __future__ import annotations

import sys

import pjsua2 as pj
import structlog

from config import ConfigurationError, load_settings
from config.logs import configure_logging
from engine.worker import Worker
from media.ringback_tones import check_ringback

USAGE_ERROR = 2


def main() -> int:
    try:
        settings = load_settings()
        redis_url = settings.redis_url
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return USAGE_ERROR
    configure_logging(settings.log, "engine")
    try:
        check_ringback(settings.ringback)
        worker = Worker(settings, redis_url)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return USAGE_ERROR
    except pj.Error as error:
        structlog.get_logger("engine").error(
            "the SIP stack did not start; is the address free and ours?",
            address=f"{settings.sip.bind_address}:{settings.sip.port}",
            error=error.reason or error.title,
        )
        return 1
    return worker.run()


if __name__ == "__main__":
    sys.exit(main())
