"""Settings: one TOML file, overridden by environment variables."""

from config.enterprises import (
    AnnouncementSettings,
    EnterpriseProfile,
    EnterpriseSettings,
    PoolSettings,
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
    "PoolSettings",
    "Rate",
    "RecordingChannels",
    "RecordingSettings",
    "RingbackSettings",
    "Settings",
    "SipSettings",
    "TrunkSettings",
    "load_settings",
]
