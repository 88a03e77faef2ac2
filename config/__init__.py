"""Settings: one TOML file, overridden by environment variables."""

from config.settings import (
    AnnouncementSettings,
    ClientSettings,
    ConfigurationError,
    EnterpriseSettings,
    RecordingChannels,
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
    "EnterpriseSettings",
    "RecordingChannels",
    "RecordingSettings",
    "RingbackSettings",
    "Settings",
    "SipSettings",
    "TrunkSettings",
    "load_settings",
]
