"""What a configuration may not say, and the sentence for each."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
from annotated_types import Ge, Le
from config_files import REAL, load, refusal, write

from optimizer.config import find_config, load_settings
from optimizer.domain import Mode, Proposal, Reason, Situation
from optimizer.errors import ConfigError

REFUSED = [
    ("[site]\nnam = 1", "config.toml:2: site: unknown key 'nam'; did you mean 'name'?"),
    ("[chargers]", "config.toml:1: unknown key 'chargers'; did you mean 'charger'?"),
    ("cycle_s = 3", "config.toml:1: unknown key 'cycle_s'; did you mean 'control.cycle_s'?"),
    ("[site]\nlatitude = 91", "config.toml:2: site.latitude: 91 is more than allowed (-90 to 90)"),
    ("[site]\nlatitude = '1'", "config.toml:2: site.latitude: needs a number (-90 to 90), not text"),
    ("[site]\nlatitude = true", "config.toml:2: site.latitude: needs a number (-90 to 90), not true"),
    ("[site]\nlatitude = nan", "config.toml:2: site.latitude: nan is not a finite number (-90 to 90)"),
    ("[site]\nname = 3", "config.toml:2: site.name: needs text in quotes, not 3"),
    ("[site]\nname = ''", "config.toml:2: site.name: is empty"),
    ("[site]\nname = '''a\nb'''", "config.toml:2: site.name: has control characters"),
    (f"[site]\nname = '{'x' * 101}'", "config.toml:2: site.name: has more than 100 characters"),
    (
        "[site]\ntimezone = 'Europe/Berlim'",
        "config.toml:2: site.timezone: 'Europe/Berlim' is no time zone; did you mean 'Europe/Berlin'?",
    ),
    ("site = 3", "config.toml:1: site: needs a table, not 3"),
    ("[charger]\nname = 'a'", "config.toml:1: charger: needs a list of tables, [[charger]], not a table"),
    ("charger = [3]", "config.toml:1: charger[0]: needs a table, not 3"),
    ("charger = []", "config.toml:1: charger: is empty"),
    (
        "[[charger]]\n\n[[charger]]\nname='b'\nmax_current_a = 64",
        "config.toml:5: charger[1].max_current_a: 64 is more than allowed (6 to 40)",
    ),
    ("[[charger]]\nphases = 2", "config.toml:2: charger[0].phases: 2 is not one of 1, 3"),
    ("[[charger]]\nphases = true", "config.toml:2: charger[0].phases: needs a whole number"),
    (
        "[[charger]]\neco_gear_a = 7",
        "config.toml:2: charger[0].eco_gear_a: 7 is not one of 6, 10, 16, 20, 25",
    ),
    (
        "[[charger]]\nmax_current_a = 16\neco_gear_a = 20",
        "config.toml:3: charger[0].eco_gear_a: 20 is more than this charger's max_current_a",
    ),
    (
        "[[charger]]\nname = 'my car'",
        "config.toml:2: charger[0].name: needs at least one character, and neither spaces",
    ),
    ("[[charger]]\n[[charger]]", "config.toml:2: charger[1].name: is the same as charger[0].name"),
    (
        "[[charger]]\nname='a'\nserial='S'\n[[charger]]\nname='b'\nserial='S'",
        "config.toml:6: charger[1].serial: is the same as charger[0].serial",
    ),
    (
        "[[charger]]\ngoal = [{ by = '7:00', energy_kwh = 1 }]",
        'config.toml:2: charger[0].goal[0].by: needs a time of day, "HH:MM"',
    ),
    (
        "[[charger]]\ngoal = [{ energy_kwh = 1 }]",
        "config.toml:2: charger[0].goal[0].by: missing: it needs text in quotes",
    ),
    ("[battery]", "config.toml:1: battery.capacity_kwh: missing: it needs a number (above 0 to 1000)"),
    (
        "[battery]\ncapacity_kwh = 0",
        "config.toml:2: battery.capacity_kwh: 0 is less than allowed (above 0 to 1000)",
    ),
    (
        "[solax]\nbase_url = 'http://example.com'",
        "config.toml:2: solax.base_url: needs https; plain http is for this machine only (",
    ),
    ("[solax]\nbase_url = 'https://a:b@c.de'", "config.toml:2: solax.base_url: must not hold a user name"),
    ("[solax]\nbase_url = 'https://c.de/?t=1'", "config.toml:2: solax.base_url: must not have a query"),
    ("[solax]\nbase_url = 'https://c.de/#t'", "config.toml:2: solax.base_url: must not have a fragment"),
    ("[solax]\nbase_url = 'ftp://c.de'", 'config.toml:2: solax.base_url: needs "virtual" or a URL'),
    ("[solax]\nbase_url = 'virtaul'", "config.toml:2: solax.base_url: is not a URL like https://host"),
    ("[solax]\nbase_url = 'https://c.de:99999'", "config.toml:2: solax.base_url: is not a URL like"),
    ("[solax]\nbase_url = 'https://[::1'", "config.toml:2: solax.base_url: is not a URL like"),
    (
        "[solax]\nstatus_map = 'Legacy'",
        'config.toml:2: solax.status_map: \'Legacy\' is not one of "canonical", "legacy"; did you mean',
    ),
    ("[callback]\nurl = 'example.com'", "config.toml:2: callback.url: is not a URL like"),
    ("[callback]\nurl = 'ftp://example.com'", "config.toml:2: callback.url: needs a URL that begins"),
    (
        "[virtual]\nhouse = 'a\\u0007b'".replace("'", '"'),
        "config.toml:2: virtual.house: has control characters",
    ),
    ("[strategy.fixed]\nmode = []", "config.toml:2: strategy.fixed.mode: this is not one of"),
    ("[callback]\nurl = 'https://e.com/?a'", "config.toml:2: callback.url: must not have a query"),
    ("[control]\nfresh_s = 900", "config.toml:2: control.fresh_s: 900 is not less than stale_s (900)"),
    (
        "[control]\nfresh_s = 60\nstale_s = 600",
        "config.toml:1: control.lease_s: 900 is more than stale_s (600)",
    ),
    ("[control]\nlease_s = 901", "config.toml:2: control.lease_s: 901 is more than allowed (1 to 900)"),
    ("[control]\nstale_s = 3601", "config.toml:2: control.stale_s: 3601 is more than allowed (1 to 3600)"),
    (
        "[budget]\ncalls_per_minute = 10",
        "config.toml:2: budget.calls_per_minute: 10 is more than allowed (1 to 9)",
    ),
    (
        "[budget]\ncalls_per_day = 10000",
        "config.toml:2: budget.calls_per_day: 10000 is more than allowed (1 to 9999)",
    ),
    (
        "[budget]\ncalls_per_minute = 2.5",
        "config.toml:2: budget.calls_per_minute: needs a whole number (1 to 9), not 2.5",
    ),
    (
        "[budget]\ncalls_per_minute = 2",
        "config.toml:1: budget.reserved_per_minute: 2 is not less than calls_per_minute (2)",
    ),
    (
        "[strategy]\nname = 'treshold'",
        "config.toml:2: strategy.name: 'treshold' is no strategy; did you mean 'threshold'?",
    ),
    ("[strategy]\nname = 3", "config.toml:2: strategy.name: needs text in quotes, not 3"),
    ("strategy = 3", "config.toml:1: strategy: needs a table, not 3"),
    ("[strategy]\nname = 'a b:C'", 'config.toml:2: strategy.name: needs "module:Class"'),
    (
        "[strategy]\nname = 'nowhere_at_all:C'",
        "config.toml:2: strategy.name: strategy 'nowhere_at_all:C' (nowhere_at_all:C) cannot be imported",
    ),
    (
        "[strategy.treshold]",
        "config.toml:1: strategy: unknown key 'treshold'; did you mean 'threshold'?",
    ),
    ("[strategy]\nthreshold = 3", "config.toml:2: strategy.threshold: needs a table, not 3"),
    (
        "[strategy.threshold]\nstart_delay_s = -1",
        "config.toml:2: strategy.threshold.start_delay_s: -1 is less than allowed (0 to 3600)",
    ),
    (
        "[strategy.threshold]\nstop_dellay_s = 1",
        "config.toml:2: strategy.threshold: unknown key 'stop_dellay_s'; did you mean 'stop_delay_s'?",
    ),
    (
        "[strategy.fixed]\nmode = 'gren'",
        'config.toml:2: strategy.fixed.mode: \'gren\' is not one of "stop", "fast", "eco", "green"; did',
    ),
    (
        "[virtual]\nseed = 2019-01-01",
        "config.toml:2: virtual.seed: needs a whole number (0 to 9223372036854775807), not a date alone",
    ),
    ("[virtual]\nhouse = ''", "config.toml:2: virtual.house: is empty; leave the key out instead"),
    ("[virtual]\nhouse = 'x.parquet'", "config.toml:2: virtual.house: no such file (names are relative to"),
    ("[site", "config.toml:1:6: not valid TOML: expected ']' at the end of a table declaration"),
    ("[site]\nname = home", "config.toml:2:8: not valid TOML: invalid value"),
    ("[site]\n[site]", "config.toml:2:6: not valid TOML: cannot declare this name twice"),
    ("x = [1,\n", "config.toml:2:1: not valid TOML: "),
    ("x = " + "[" * 5000, "config.toml:1:5005: not valid TOML: nested too deeply"),
    ("x = " + "9" * 5000, "config.toml:1:5005: not valid TOML: a number has too many digits"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_a_refusal_names_file_line_key_and_what_is_allowed(tmp_path: Path, text: str, sentence: str) -> None:
    (line,) = refusal(tmp_path, text)
    assert line.startswith(sentence)


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "[site]\nlatitude = 100\n[log]\nlevel = 'loud'\n[budget]\ncalls_per_day = 0\n[extra]\n"
    lines = refusal(tmp_path, text, SUNMODE_CONTROL__CYCLE_S="x", SUNMODE_NOTHING="")
    assert [line.partition(": ")[0] for line in lines] == [
        "config.toml:2",
        "config.toml:4",
        "config.toml:6",
        "config.toml:7",
        "SUNMODE_CONTROL__CYCLE_S",
        "environment",
    ]


def test_a_real_cloud_without_its_three_things_is_told_where_to_find_them(tmp_path: Path) -> None:
    lines = refusal(tmp_path, '[solax]\nbase_url = "https://www.solaxcloud.com"\n')
    assert [line.split(": ")[:2] for line in lines] == [
        ["config.toml:1", "solax.inverter"],
        ["config.toml:1", "solax.token"],
        ["config.toml", "charger[0].serial"],
    ]
    assert "dongle" in lines[0]
    assert "SUNMODE_SOLAX__TOKEN" in lines[1]
    assert "registration number" in lines[2]


def test_a_token_file_that_is_not_there_is_refused_with_its_line(tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, REAL.replace("[[", 'token_file = "nope"\n[['))
    assert line.startswith("config.toml:4: solax.token_file: no such file or directory (names are relative")


@pytest.mark.parametrize("key", ["token", "Token", "password", "api_key", "access_token", "client_secret"])
@pytest.mark.parametrize("table", ["", "[solax]\n", "[strategy.threshold]\n", "[[charger]]\n"])
def test_a_secret_in_the_file_is_refused_and_never_repeated(
    tmp_path: Path, token: str, key: str, table: str
) -> None:
    (tmp_path / "token.toml").write_text(f'{table}{key} = "{token}"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="secrets do not belong in this file") as caught:
        load_settings(tmp_path / "token.toml", {"SUNMODE_SOLAX__TOKEN": "good"})
    assert f"token.toml:{1 + bool(table)}: " in str(caught.value)
    assert token not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "key",
    [
        "[solax]\nbase_url",
        "[solax]\ninverterr",
        "[solax]\nstatus_map",
        "[solax]\ncall_timeout_s",
        "[site]\ntimezone",
        "[strategy]\nname",
        "[strategy.threshold]\nidle_mode",
        "[callback]\nurl",
        "[virtual]\nstart",
        "[virtual]\nhouse",
        "[solax]\ntoken_file",
        "[log]\nlevel",
    ],
)
def test_a_token_under_the_wrong_key_is_not_repeated(tmp_path: Path, token: str, key: str) -> None:
    (tmp_path / "token.toml").write_text(f'{key} = "{token}"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "token.toml", {})
    assert token not in str(caught.value)
    assert "token.toml:2: " in str(caught.value)


def test_a_token_as_a_key_is_not_repeated(tmp_path: Path, token: str) -> None:
    (tmp_path / "token.toml").write_text(f'["{token}"]\n["{token}"]\n', encoding="utf-8")
    for text in (f'["{token}"]\n["{token}"]\n', f'["{token}"]\n', f'[strategy."{token}"]\n'):
        (tmp_path / "token.toml").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load_settings(tmp_path / "token.toml", {})
        assert token not in str(caught.value)


def test_a_missing_file_a_directory_and_a_name_that_cannot_be_one_are_refused(tmp_path: Path) -> None:
    for path, sentence in (
        (tmp_path / "none.toml", "no such file or directory"),
        (tmp_path, "is a directory"),
        (Path("a\0b"), "no name of a file"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            load_settings(path, {})


def test_bytes_that_are_not_utf8_are_told_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b'[site]\nname = "M\xfchle"\n')
    with pytest.raises(ConfigError, match=r"config\.toml:2:10: not UTF-8 text \(byte 0xfc\)"):
        load_settings(path, {})


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match="larger than 256 KiB"):
        load_settings(Path("/dev/zero"), {})


def test_the_file_is_looked_for_where_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optimizer.config.loading.SEARCHED", (Path("config.toml"), tmp_path / "etc.toml"))
    with pytest.raises(ConfigError, match="no configuration: there is neither"):
        find_config(None, {})
    (tmp_path / "etc.toml").touch()
    assert find_config(None, {}) == tmp_path / "etc.toml"
    write(tmp_path, "")
    assert find_config(None, {}) == Path("config.toml")
    assert find_config(None, {"SUNMODE_CONFIG": "env.toml"}) == Path("env.toml")
    assert find_config(Path("given.toml"), {"SUNMODE_CONFIG": "env.toml"}) == Path("given.toml")


@dataclass(frozen=True, slots=True)
class PatientParams:
    """Parameters of `patient`."""

    wait_s: Annotated[float, Ge(0), Le(10)] = 3.0
    hours: tuple[int, ...] = field(default_factory=lambda: (1, 2))
    mode: Mode = Mode.ECO

    def __post_init__(self) -> None:
        if self.wait_s == 7:
            raise ValueError("wait_s: seven is unlucky")


class Patient:
    """A stranger's strategy."""

    name = "patient"
    serves_goals = True
    Params = PatientParams

    def __init__(self, params: PatientParams) -> None:
        self.params = params

    def propose(self, situation: Situation) -> Proposal:  # noqa: ARG002 - the protocol asks for it
        return Proposal(self.params.mode, Reason("patient", "waiting"))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "patient_strategy", sys.modules[__name__])
    return "[strategy]\nname = 'patient_strategy:Patient'\n"


def test_a_strategy_of_ones_own_has_a_table_by_its_own_name(tmp_path: Path, patient: str) -> None:
    strategy = load(tmp_path, f"{patient}[strategy.patient]\nwait_s = 5\nhours = [3]\n").build_strategy()
    assert isinstance(strategy, Patient)
    assert strategy.params == PatientParams(wait_s=5.0, hours=(3,))
    assert isinstance(load(tmp_path, patient).build_strategy(), Patient)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("wait_s = 11", "config.toml:4: strategy.patient.wait_s: 11 is more than allowed (0 to 10)"),
        ("wait_s = 7", "config.toml:3: strategy.patient: wait_s: seven is unlucky"),
        ("wait_s = '5'", "config.toml:4: strategy.patient.wait_s: needs a number (0 to 10), not text"),
        ("wait = 5", "config.toml:4: strategy.patient: unknown key 'wait'; did you mean 'wait_s'?"),
    ],
)
def test_the_table_of_a_strategy_of_ones_own_is_checked_like_ours(
    tmp_path: Path, patient: str, table: str, sentence: str
) -> None:
    assert refusal(tmp_path, f"{patient}[strategy.patient]\n{table}\n") == [sentence]


@dataclass(frozen=True)
class OpaqueParams:
    """Parameters that no file can hold."""

    what: memoryview = field(default_factory=lambda: memoryview(b""))


class Opaque(Patient):
    """A strategy that asks for the impossible."""

    Params = OpaqueParams


def test_a_strategy_whose_parameters_no_file_can_hold_is_refused(tmp_path: Path, patient: str) -> None:
    lines = refusal(tmp_path, patient.replace(":Patient", ":Opaque"))
    assert lines[0].startswith("config.toml:1: strategy.patient: no table can be made of its Params: ")


def test_the_table_of_a_strategy_that_does_not_decide_is_kept(tmp_path: Path) -> None:
    settings = load(tmp_path, "[strategy.fixed]\nmode = 'eco'\n")
    assert settings.strategy.tables["fixed"].mode is Mode.ECO
    assert settings.build_strategy().name == "planner"


def test_reading_the_configuration_imports_nothing_heavy() -> None:
    heavy = "{'pandas', 'pvlib', 'httpx', 'numpy', 'pyarrow', 'sqlite_utils'}"
    code = f"import sys, optimizer.config; print(*{heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
