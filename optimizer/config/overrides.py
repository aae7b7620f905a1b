"""What stands above the file: environment variables, then credential files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from optimizer.config.annotations import bare
from optimizer.config.locate import Where
from optimizer.config.schema import DELIMITER, PREFIX, Schema, is_list, model_in, takes_text, variable
from optimizer.config.secret_files import read_secret
from optimizer.config.words import did_you_mean, key_name
from optimizer.errors import ConfigError

CONFIG_VARIABLE = "SUNMODE_CONFIG"
OTHER_VARIABLES = (CONFIG_VARIABLE, "SUNMODE_REAL_DATA")
"""Names with our prefix that set no key."""

CREDENTIALS = (
    ("solax", "token"),
    ("forecast", "forecast_solar", "api_key"),
    ("forecast", "solcast", "api_key"),
)
"""Keys that a file in `$CREDENTIALS_DIRECTORY` may give."""


class Overrides(NamedTuple):
    """Values from outside the file, where each came from, and what was wrong with a name."""

    values: dict[str, Any]
    origins: dict[Where, str]
    refused: list[str]


def read_environment(env: Mapping[str, str], schema: Schema) -> Overrides:
    """Return the keys that variables set: `SUNMODE_CONTROL__CYCLE_S=10` is `control.cycle_s`.

    Text is taken as it stands, everything else is written as in TOML.
    """
    found = Overrides({}, {}, [])
    for name in sorted(name for name in env if name.upper().startswith(PREFIX)):
        if name in OTHER_VARIABLES:
            continue
        where = tuple(name.removeprefix(PREFIX).lower().split(DELIMITER))
        field = (
            schema.field_at(where) if variable(where) == name and schema.settable(where) == where else None
        )
        if field is None or (model_in(field.annotation) and not is_list(field)):
            found.refused.append(_unknown(name, schema))
        else:
            _put(found.values, where, _read(env[name], field))
            found.origins[where] = name
    return found


def read_credentials(env: Mapping[str, str]) -> Overrides:
    """Return the secrets of the credential files, `$CREDENTIALS_DIRECTORY/solax__token` for instance."""
    found = Overrides({}, {}, [])
    directory = env.get("CREDENTIALS_DIRECTORY", "")
    for where in CREDENTIALS if directory else ():
        path = Path(directory) / DELIMITER.join(where)
        if path.exists():
            _read_credential(path, where, found)
    return found


def _read_credential(path: Path, where: tuple[str, ...], found: Overrides) -> None:
    origin = f"credential file {path.name}"
    try:
        _put(found.values, where, SecretStr(read_secret(path)))
        found.origins[where] = origin
    except ConfigError as error:
        found.refused.append(f"{origin}: {error}")


def _put(values: dict[str, Any], where: tuple[str, ...], value: Any) -> None:
    for name in where[:-1]:
        values = values.setdefault(name, {})
    values[where[-1]] = value


def _read(text: str, field: FieldInfo) -> Any:
    if bare(field.annotation) is SecretStr:
        return SecretStr(text)
    if takes_text(field):
        return text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _unknown(name: str, schema: Schema) -> str:
    near = did_you_mean(name.upper(), [*OTHER_VARIABLES, *_variables(schema)])
    return f"environment: unknown variable{key_name(name)}{near}"


def _variables(schema: Schema) -> Iterator[str]:
    for key in schema.all_keys():
        yield variable(schema.settable(key.where))
