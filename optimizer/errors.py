"""One tree of errors; each class says what the caller can do about it."""

from __future__ import annotations


class SunmodeError(Exception):
    """Root of all errors that sunmode raises on purpose."""


class ConfigError(SunmodeError):
    """Fix the file: the text names file, line, key and the allowed range, never a secret."""


class InputError(SunmodeError):
    """Fix the data or the argument: the text names it and what would be right."""


class StrategyFailed(SunmodeError):  # noqa: N818 - the state, not the mishap
    """Fix the strategy: it raised, or returned what is no proposal."""


class AnotherInstance(SunmodeError):  # noqa: N818 - the state, not the mishap
    """Another process serves this database or this token already."""


class CloudError(SunmodeError):
    """Something went wrong between us and the cloud."""


class AuthError(CloudError):
    """Ask the human: the token is refused, and with it every call."""


class RateLimited(CloudError):  # noqa: N818 - the state, not the mishap
    """Come back at `retry_at_s` (on the clock's monotonic scale), not earlier."""

    def __init__(self, message: str, retry_at_s: float) -> None:
        super().__init__(message)
        self.retry_at_s = retry_at_s


class Throttled(CloudError):  # noqa: N818 - the state, not the mishap
    """The cloud said that we call too often; `banned` when it closed the door for an hour."""

    def __init__(self, message: str, *, banned: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.banned = banned
        self.retry_after_s = retry_after_s


class Unavailable(CloudError):  # noqa: N818 - the state, not the mishap
    """Try later: no answer, a server error, a time-out, a device that is offline."""


class BadAnswer(CloudError):  # noqa: N818 - the state, not the mishap
    """Report it: the answer breaks the vendor's own format."""


class Refused(CloudError):  # noqa: N818 - the state, not the mishap
    """The cloud understood and declined; its code and (cleaned) text are in the message."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class UnknownDevice(Refused):
    """Fix the serial number: this device is not in the token's account; all others are served."""
