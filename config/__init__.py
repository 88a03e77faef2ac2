"""Settings: one TOML file, overridden by environment variables."""

from config.enterprises import (
    AnnouncementSettings,
    EnterpriseProfile,
    EnterpriseSettings,
    RecordingChannels,
)
from config.policy import DestinationRate, EnterprisePolicy, NumberClass, PolicySettings, Rate
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
    "DestinationRate",
    "EnterprisePolicy",
    "EnterpriseProfile",
    "EnterpriseSettings",
    "NumberClass",
    "PolicySettings",
    "Rate",
    "RecordingChannels",
    "RecordingSettings",
    "RingbackSettings",
    "Settings",
    "SipSettings",
    "TrunkSettings",
    "load_settings",
]
