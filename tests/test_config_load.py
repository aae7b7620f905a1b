"""What a configuration may say, and what stands above what."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from config_files import REAL, load, refusal

from optimizer.config import Settings, load_settings
from optimizer.domain import ChargerSpec, Mode
from optimizer.errors import ConfigError

ROOT = Path(__file__).parents[1]


def test_the_shipped_file_is_a_virtual_home_that_runs() -> None:
    settings = load_settings(ROOT / "config.toml", {})
    assert settings.is_virtual
    assert settings.build_strategy().name == "planner"
    assert settings.virtual.house == ROOT / "data/samples/house_ohrberg_2019.parquet"


def test_the_commented_lines_of_the_shipped_file_are_right_too(tmp_path: Path, token: str) -> None:
    text = (ROOT / "config.toml").read_text(encoding="utf-8")
    bare = re.sub(r"(?m)^# (?=\[|\w+ = )", "", text).replace('"data/', f'"{ROOT}/data/')
    (tmp_path / "solax.token").write_text(token, encoding="ascii")
    settings = load(tmp_path, bare)
    assert bare.count("\n# ") < 5
    assert settings.battery is not None
    assert settings.token() == token
    assert (settings.control, settings.budget) == (Settings().control, Settings().budget)


def test_without_a_file_everything_has_its_default() -> None:
    settings = load_settings(None, {})
    assert settings == Settings()
    assert settings.charger_specs() == (ChargerSpec("garage", "VIRTUAL0001"),)
    assert settings.flat_tariff().import_eur_per_kwh == 0.30


def test_a_real_charger_needs_three_things_and_gets_them(tmp_path: Path, token: str) -> None:
    settings = load(tmp_path, REAL, SUNMODE_SOLAX__TOKEN=token)
    assert not settings.is_virtual
    assert settings.token() == token
    assert settings.charger_specs() == (ChargerSpec("garage", "C31100000001"),)


def test_the_token_is_in_no_repr(tmp_path: Path, token: str) -> None:
    settings = load(tmp_path, REAL, SUNMODE_SOLAX__TOKEN=token)
    for text in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert token not in text


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.1.2.3:8080/", "http://127.1.2.3:8080"),
        ("http://localhost:1/prefix/", "http://localhost:1/prefix"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://global.solaxcloud.com", "https://global.solaxcloud.com"),
    ],
)
def test_a_cloud_is_reached_by_https_or_on_this_machine(
    tmp_path: Path, token: str, url: str, kept: str
) -> None:
    text = REAL.replace("https://www.solaxcloud.com", url)
    assert load(tmp_path, text, SUNMODE_SOLAX__TOKEN=token).solax.base_url == kept


def test_a_callback_address_is_kept_without_its_last_slash(tmp_path: Path) -> None:
    assert (
        load(tmp_path, '[callback]\nurl = "https://me.example/sun/"\n').callback.url
        == "https://me.example/sun"
    )


def test_intervals_go_down_to_a_second(tmp_path: Path) -> None:
    text = (
        "[solax]\ntelemetry_interval_s = 1\n[control]\ncycle_s = 1\nfresh_s = 2\nstale_s = 4\nlease_s = 4\n"
    )
    text += "poll = { charger_active_s = 1, charger_idle_s = 1 }\ndwell_s = { stop = 0, green = 1 }\n"
    control = load(tmp_path, text).control
    assert (control.cycle_s, control.poll.charger_idle_s) == (1, 1)
    assert control.dwell_s.by_mode() == {Mode.STOP: 0, Mode.FAST: 300, Mode.ECO: 300, Mode.GREEN: 1}


@pytest.mark.parametrize("disguise", [b"\xef\xbb\xbf%s", b"%s"])
def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path, disguise: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(disguise % b'[site]\r\nname = "mill"\r\n')
    assert load_settings(path, {}).site.name == "mill"


def test_file_names_are_relative_to_the_file(tmp_path: Path, token: str) -> None:
    (tmp_path / "solax.token").write_text(f"{token}\n", encoding="ascii")
    text = REAL.replace("[[", 'token_file = "solax.token"\n[[') + '[store]\npath = "x.db"\nbackup = "/b.db"\n'
    settings = load(tmp_path, text)
    assert settings.token() == token
    assert settings.store.path == tmp_path / "x.db"
    assert settings.store.backup == Path("/b.db")


def test_a_token_file_may_be_replaced_while_running(tmp_path: Path, token: str) -> None:
    file = tmp_path / "token"
    file.write_text("old-token", encoding="ascii")
    settings = load(tmp_path, REAL.replace("[[", 'token_file = "token"\n[['))
    assert settings.token() == "old-token"
    file.write_text(token, encoding="ascii")
    assert settings.token() == token
    file.unlink()
    with pytest.raises(ConfigError, match=r"^solax.token_file: no such file or directory$"):
        settings.token()


def test_a_token_file_that_others_can_read_is_told_of(tmp_path: Path, token: str) -> None:
    file = tmp_path / "token"
    file.write_text(token, encoding="ascii")
    settings = load(tmp_path, REAL.replace("[[", 'token_file = "token"\n[['))
    file.chmod(0o640)
    assert "chmod 600" in settings.warnings()[0]
    file.chmod(0o600)
    assert settings.warnings() == ()
    file.unlink()
    assert settings.warnings() == ()


def test_a_freshness_that_the_telemetry_cannot_keep_is_told_of(tmp_path: Path) -> None:
    assert Settings().warnings() == ()
    (warning,) = load(tmp_path, "[control]\nfresh_s = 300\n").warnings()
    assert warning.startswith("control.fresh_s (300) is no more than solax.telemetry_interval_s (300)")


def test_no_token_at_all_is_said_when_it_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="SUNMODE_SOLAX__TOKEN"):
        Settings().token()


def test_goals_belong_to_a_charger(tmp_path: Path) -> None:
    text = '[[charger]]\nname = "a"\ngoal = [{ by = "07:00", energy_kwh = 8 }]\n[[charger]]\nname = "b"\n'
    settings = load(tmp_path, text)
    found = settings.goal_for("a", datetime(2026, 11, 22, 12, tzinfo=UTC))
    assert found is not None
    assert (found.deadline, found.energy_kwh) == (datetime(2026, 11, 23, 6, tzinfo=UTC), 8)
    assert settings.goal_for("b", datetime(2026, 11, 22, 12, tzinfo=UTC)) is None
    with pytest.raises(KeyError):
        settings.goal_for("c", datetime(2026, 11, 22, 12, tzinfo=UTC))


def test_the_environment_stands_above_credentials_and_these_above_the_file(
    tmp_path: Path, token: str
) -> None:
    (tmp_path / "solax__token").write_text("from-credential", encoding="ascii")
    (tmp_path / "token").write_text("from-file", encoding="ascii")
    text = REAL.replace("[[", 'token_file = "token"\n[[')
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load(tmp_path, text).token() == "from-file"
    assert load(tmp_path, text, **credentials).token() == "from-credential"
    assert load(tmp_path, text, **credentials, SUNMODE_SOLAX__TOKEN=token).token() == token


def test_variables_reach_every_kind_of_key(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "[control]\ncycle_s = 30\nfresh_s = 100\n",
        SUNMODE_CONTROL__CYCLE_S="10",
        SUNMODE_CONTROL__GREEN_COMMISSIONED="true",
        SUNMODE_CONTROL__DWELL_S__FAST="1.5",
        SUNMODE_SITE__NAME="007",
        SUNMODE_LOG__LEVEL="debug",
        SUNMODE_STORE__PATH="other.db",
        SUNMODE_CHARGER='[{ name = "x", phases = 3 }]',
        SUNMODE_STRATEGY__THRESHOLD__STOP_DELAY_S="42",
        SUNMODE_CONFIG="elsewhere.toml",
        SUNMODE_REAL_DATA="/data",
        UNRELATED="x",
    )
    assert (settings.control.cycle_s, settings.control.fresh_s) == (10, 100)
    assert settings.control.green_commissioned
    assert settings.control.dwell_s.fast == 1.5
    assert (settings.site.name, settings.log.level) == ("007", "debug")
    assert settings.store.path == tmp_path / "other.db"
    assert settings.charger_specs()[0].phases == 3
    assert settings.strategy.tables["threshold"].stop_delay_s == 42


def test_the_process_environment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUNMODE_SITE__NAME", "elsewhere")
    monkeypatch.setenv("SITE", '{"name": "elsewhere"}')
    assert load_settings(None, {}).site.name == "home"
    assert Settings().site.name == "home"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SUNMODE_CONTROL__CYCLE_S", "0", "SUNMODE_CONTROL__CYCLE_S: 0 is less than allowed (1 to 300)"),
        ("SUNMODE_CONTROL__CYCLE_S", "fast", "SUNMODE_CONTROL__CYCLE_S: needs a number (1 to 300), not text"),
        (
            "SUNMODE_CONTROL__CYCLE_S",
            "10\nfresh_s = 3",
            "SUNMODE_CONTROL__CYCLE_S: needs a number (1 to 300), not text",
        ),
        (
            "SUNMODE_CHARGER",
            '[{ name = "x", phase = 3 }]',
            "SUNMODE_CHARGER: charger[0]: unknown key 'phase'; did you mean 'phases'?",
        ),
        (
            "SUNMODE_SOLAX__TOKEN",
            "",
            "SUNMODE_SOLAX__TOKEN: needs 1 to 200 visible ASCII characters without spaces",
        ),
        (
            "SUNMODE_CONTROL__CYLCE_S",
            "1",
            "environment: unknown variable 'SUNMODE_CONTROL__CYLCE_S'; did you mean 'SUNMODE_CONTROL__CYCLE",
        ),
        (
            "SUNMODE_control__cycle_s",
            "1",
            "environment: unknown variable 'SUNMODE_control__cycle_s'; did you mean 'SUNMODE_CONTROL__CYCLE",
        ),
        (
            "SUNMODE_TOKEN",
            "secret",
            "environment: unknown variable 'SUNMODE_TOKEN'; did you mean 'SUNMODE_SOLAX__TOKEN'?",
        ),
        ("SUNMODE_CHARGER__0__NAME", "x", "environment: unknown variable"),
        ("SUNMODE_STRATEGY__TABLES", "{}", "environment: unknown variable 'SUNMODE_STRATEGY__TABLES'"),
    ],
)
def test_a_problem_of_the_environment_names_the_variable(
    tmp_path: Path, name: str, value: str, sentence: str
) -> None:
    (line,) = refusal(tmp_path, "", **{name: value})
    assert line.startswith(sentence)
    assert "secret" not in line


def test_a_credential_file_that_holds_more_than_a_token_is_refused(tmp_path: Path, token: str) -> None:
    (tmp_path / "solax__token").write_text(f"{token}\n{token}\n", encoding="ascii")
    (line,) = refusal(tmp_path, "", CREDENTIALS_DIRECTORY=str(tmp_path))
    assert line == "credential file solax__token: needs the token alone, on one line, 200 characters at most"
