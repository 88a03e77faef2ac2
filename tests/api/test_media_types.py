"""Accept (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import pytest

from api.media_types import preferred

OFFERED = ("application/json", "audio/wav", "audio/x-wav", "audio/ogg")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("application/*", "application/json"),
        ("audio/ogg", "audio/ogg"),
        ("AUDIO/OGG;codecs=opus", "audio/ogg"),
        ("audio/x-wav", "audio/x-wav"),
        ("audio/*", "audio/wav"),
        ("audio/*;q=0.9, application/json;q=0.1", "audio/wav"),
        ("audio/ogg;q=0.5, audio/wav;q=0.7", "audio/wav"),
        ("audio/ogg , audio/wav", "audio/wav"),
        ("audio/ogg;q=1.000,audio/wav;q=0.999", "audio/ogg"),
        ("*/*;q=0.1,audio/ogg", "audio/ogg"),
        # The more specific range decides, also when it says no.
        ("audio/*, audio/wav;q=0", "audio/x-wav"),
        ("*/*, application/json;q=0", "audio/wav"),
        ("text/html", None),
        ("text/html, application/xhtml+xml, image/*;q=0.8", None),
        ("application/json;q=0", None),
        ("*/*;q=0", None),
        # What cannot be understood is as good as not there.
        ("audio", "application/json"),
        (",,", "application/json"),
        ("audio/ogg;q=2", "application/json"),
        ("audio/ogg;q=, audio/wav", "audio/wav"),
        ("audio/ogg;q=0.1234, audio/wav;q=0.1", "audio/wav"),
    ],
)
def test_the_representation_a_client_likes_best(accept: str, chosen: str | None) -> None:
    assert preferred(accept, OFFERED) == chosen
