"""Settings: one TOML file, overridden by environment variables."""

from config.settings import (
    ClientSettings,
    ConfigurationError,
    EnterpriseSettings,
    RingbackSettings,
    Settings,
    SipSettings,
    TrunkSettings,
    load_settings,
)

__all__ = [
    "ClientSettings",
    "ConfigurationError",
    "EnterpriseSettings",
    "RingbackSettings",
    "Settings",
    "SipSettings",
    "TrunkSettings",
    "load_settings",
]
