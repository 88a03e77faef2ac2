"""Settings: one TOML file, overridden by environment variables."""

from config.enterprises import (
    AnnouncementSettings,
    EnterpriseProfile,
    EnterpriseSettings,
    PoolSettings,
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
    "PoolSettings",
    "RecordingChannels",
    "RecordingSettings",
    "RingbackSettings",
    "Settings",
    "SipSettings",
    "TrunkSettings",
    "load_settings",
]
