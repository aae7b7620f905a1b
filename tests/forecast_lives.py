"""Lives of the service in front of a provider of forecasts."""

from __future__ import annotations

from datetime import timedelta

ROOF = """
[site]
latitude = 52.0
longitude = 9.4
[[roof]]
kwp = 6.0
"""
SLOT = timedelta(minutes=15)
