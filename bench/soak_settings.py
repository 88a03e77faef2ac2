"""The soak's settings on top of the lab's: timers that fire within its calls, an enterprise with prompts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from config.settings import ENV_PREFIX
from dialbridge.lab_settings import ENTERPRISE_NUMBER, OTHER_ENTERPRISE_NUMBER

SESSION = 90
"""Seconds: the shortest session of RFC 4028. Who refreshes it does so at half time."""
LONGEST = 60.0
"""Seconds: so the sessions of the longest calls are refreshed."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds, from the longest call: each timer ends some of the calls, and few of them all."""

    longest: float = LONGEST
    """After which every call is deleted that has not ended by itself."""

    @property
    def usual(self) -> float:
        """After which most calls are deleted at the latest."""
        return 0.4 * self.longest

    @property
    def no_progress(self) -> float:
        return max(2.0, self.longest / 10)

    @property
    def no_answer(self) -> float:
        """More than the 3 s of early media before a phone's answer."""
        return max(6.0, self.longest / 5)

    @property
    def media(self) -> float:
        return max(4.0, self.longest / 6)

    @property
    def max_duration(self) -> float:
        return 0.8 * self.longest

    @property
    def warning(self) -> float:
        """Before the maximum duration."""
        return self.longest / 20


def environment(times: Times) -> dict[str, str]:
    """What overrides the lab's settings file."""
    settings: dict[str, Any] = {
        "CALL__NO_ANSWER_TIMEOUT": times.no_answer,
        "CALL__NO_PROGRESS_TIMEOUT": times.no_progress,
        "CALL__MEDIA_TIMEOUT": times.media,
        "CALL__MAX_DURATION": times.max_duration,
        "CALL__DURATION_WARNING": times.warning,
        # The lab's phones know no session timers, but answer an UPDATE: the engine refreshes all the same.
        "TRUNK__SESSION_TIMER": "always",
        "TRUNK__SESSION_EXPIRES": SESSION,
        "ENTERPRISES": json.dumps(
            [
                {"id": "lab", "number": ENTERPRISE_NUMBER, "callers": "anyone"},
                {
                    "id": "lab-other",
                    "number": OTHER_ENTERPRISE_NUMBER,
                    "callers": "anyone",
                    "recording_channels": "dual",
                    "announcements": {
                        "whisper": "connecting",
                        "connect": "recorded",
                        "busy": "busy",
                        "no_answer": "no-answer",
                        "failed": "unreachable",
                        "lost": "lost",
                    },
                },
            ]
        ),
    }
    return {f"{ENV_PREFIX}{key}": str(value) for key, value in settings.items()}
