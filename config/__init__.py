"""Settings: one TOML file, overridden by environment variables."""

from config.enterprises import (
    AnnouncementSettings,
    EnterpriseProfile,
    EnterpriseSettings,
    RecordingChannels,
)
from config.settings import (
    ClientSettings,
    ConfigurationError,
    RecordingSettings,
    RingbackSettings,
    Settings,
    SipSettings,
    TrunkSettings,
    load_settings,
)

__all__ = [
    "AnnouncementSettings",
    "ClientSettings",
    "ConfigurationError",
    "EnterpriseProfile",
    "EnterpriseSettings",
    "RecordingChannels",
    "RecordingSettings",
    "RingbackSettings",
    "Settings",
    "SipSettings",
    "TrunkSettings",
    "load_settings",
]
