"""Prices over real HTTP and out of files: every answer, good and bad."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from price_services import BERLIN, DAY, NOON, awattar_day, charts_day
from web_service import Reply, WebService, web_service

from optimizer.errors import AuthError, BadAnswer, CloudError, Throttled, Unavailable
from optimizer.sources.http_json import BODY_CAP_BYTES, JsonSource, open_web, retry_after_s
from optimizer.sources.prices import Asked, FilePrices, awattar, energy_charts
from optimizer.tariffs.slots import SLOT, day_slots, midnight


def get(service: WebService, token: str | None = None, deadline_s: float = 5.0) -> Any:
    """Ask the service once, as sunmode does."""

    async def ask() -> Any:
        async with open_web() as client:
            give = None if token is None else (lambda: token)
            return await JsonSource(client, service.url, give, deadline_s).get(NOON, {"start": "1"})

    return asyncio.run(ask())


def test_a_question_says_who_asks_and_goes_to_the_address_as_it_stands() -> None:
    with web_service(Reply({"a": 1})) as service:
        assert get(service) == {"a": 1}
    ((path, headers),) = service.asked
    assert path == "/prices?key=s3cret&start=1"
    assert headers["user-agent"].startswith("sunmode/")
    assert "authorization" not in headers


def test_a_token_goes_along_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    with web_service(Reply({}, status=401)) as service, pytest.raises(AuthError) as told:
        get(service, token="tok-123")  # noqa: S106 - it opens nothing
    assert service.asked[0][1]["authorization"] == "Bearer tok-123"
    assert "tok-123" not in str(told.value) + repr(told.value) + caplog.text
    assert str(told.value) == "127.0.0.1: HTTP 401"


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (Reply(b"<html>"), BadAnswer, "not JSON"),
        (Reply(b""), BadAnswer, "not JSON"),
        (Reply(b'{"a": NaN}'), BadAnswer, "not JSON"),
        (Reply(b"\xff\xfe"), BadAnswer, "not JSON"),
        (Reply(b"[" * 100_000), BadAnswer, "not JSON"),
        (Reply(b'"' + b"x" * BODY_CAP_BYTES + b'"'), BadAnswer, "longer than"),
        (Reply(b"{}", status=500), Unavailable, "HTTP 500"),
        (Reply(b"{}", status=404), Unavailable, "HTTP 404"),
        (Reply(b"{}", status=204), Unavailable, "HTTP 204"),
        (Reply(status=302, headers=(("Location", "http://192.0.2.1/"),)), Unavailable, "HTTP 302"),
        (Reply(b'{"a": 1}', cut=True), Unavailable, "RemoteProtocolError"),
        (Reply(b'{"a": 1}', headers=(("Content-Encoding", "gzip"),)), Unavailable, "DecodingError"),
        (Reply(b'{"a": 1}', drip_s=0.2), Unavailable, "no answer within"),
    ],
)
def test_what_is_no_answer_is_told_by_host_alone(
    reply: Reply, error: type[CloudError], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    with web_service(reply) as service, pytest.raises(error, match=says) as told:
        get(service, deadline_s=0.5)
    assert "s3cret" not in str(told.value) + repr(told.value.__cause__) + repr(told.value.__context__)


def test_nobody_there_is_told_too() -> None:
    with web_service() as service:
        pass
    with pytest.raises(Unavailable, match="ConnectError"):
        get(service)


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_is_too_busy_says_when_to_come_back(status: int) -> None:
    reply = Reply(b"{}", status=status, headers=(("Retry-After", "120"),))
    with web_service(reply) as service, pytest.raises(Throttled) as told:
        get(service)
    assert told.value.retry_after_s == 120.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Mon, 01 Jun 2026 10:05:00 GMT", 300.0),
        ("Mon, 01 Jun 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("²", None),
        (None, None),
    ],
)
def test_a_time_to_wait_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOON) == seconds


def test_awattar_is_asked_for_today_and_tomorrow_in_milliseconds() -> None:
    with web_service(Reply(awattar_day(DAY))) as service:
        found = asyncio.run(_prices(lambda client: awattar(JsonSource(client, service.url))))
    assert service.asked[0][0] == "/prices?key=s3cret&start=1780264800000&end=1780437600000"
    assert len(found) == 96
    assert found[midnight(DAY, BERLIN)] == 0.08


def test_energy_charts_is_asked_for_today_and_tomorrow_in_words() -> None:
    with web_service(Reply(charts_day(DAY))) as service:
        found = asyncio.run(_prices(lambda client: energy_charts(JsonSource(client, service.url))))
    asked = service.asked[0][0]
    assert asked == "/prices?key=s3cret&start=2026-05-31T22%3A00%3A00Z&end=2026-06-02T21%3A59%3A59Z"
    assert list(found) == list(day_slots(DAY, BERLIN))
    assert found[midnight(DAY, BERLIN)] == -0.005


async def _prices(make: Callable[[Any], Any]) -> Any:
    async with open_web() as client:
        return await make(client).prices(Asked(NOON, BERLIN))


def read_file(path: Path, text: str | bytes) -> Any:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return asyncio.run(FilePrices(path).prices(Asked(NOON, BERLIN)))


def test_a_files_prices_around_today_are_read_whatever_the_offset(tmp_path: Path) -> None:
    found = read_file(
        tmp_path / "prices.csv",
        "time,eur_per_kwh\n2020-01-01T00:00Z,0.9\n2026-06-01T00:00+02:00,0.1\n2026-05-31T23:00,0.2\n"
        "2026-06-01T00:00Z,\n",
    )
    assert found == {
        **{midnight(DAY, BERLIN) + number * SLOT: 0.1 for number in range(4)},
        **{midnight(DAY, BERLIN) + number * SLOT: 0.2 for number in range(4, 8)},
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time,price\n", "no column eur_per_kwh"),
        ("", "no column time and eur_per_kwh"),
        ("time,eur_per_kwh\n", "no prices"),
        ("time,eur_per_kwh\nnoon,1\n", "line 2: needs a time and a number"),
        ("time,eur_per_kwh\n2026-06-01T00:00Z,0.1\n2026-06-01T01:00Z,dear\n", "line 3"),
        ("time,eur_per_kwh\n2026-06-01T00:00Z,87\n", "another unit"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_bad_file_is_told_with_its_line(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(CloudError, match=says) as told:
        read_file(tmp_path / "prices.csv", text)
    assert "prices.csv" in str(told.value)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(Unavailable, match="No such file"):
        asyncio.run(FilePrices(Path("/nowhere/prices.csv")).prices(Asked(NOON, BERLIN)))
