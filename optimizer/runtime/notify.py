"""Tells systemd that we are ready, alive and what we do (`sd_notify(3)`); silent elsewhere."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

_PATIENCE_S = 0.05
"""A datagram waits while its receiver's queue is full: a hanging systemd must not hold up the loop."""


class Notifier:
    """Sends datagrams to the socket that systemd named in `$NOTIFY_SOCKET`."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self) -> None:
        """The service is up."""
        self._send("READY=1")

    def alive(self, status: str) -> None:
        """A whole cycle ended well; `status` is what `systemctl status` shows."""
        self._send(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """A clean stop has begun."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A word to systemd that gets lost must not stop a charger's control.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.settimeout(_PATIENCE_S)
            sock.sendto(message.encode(), self._address)
