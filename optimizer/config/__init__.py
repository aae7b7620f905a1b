"""The configuration: `config.toml`, environment variables and credential files as one frozen `Settings`."""

from optimizer.config.loading import find_config, load_settings
from optimizer.config.settings import Settings

__all__ = ["Settings", "find_config", "load_settings"]
