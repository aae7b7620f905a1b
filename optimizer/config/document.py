"""The documentation of every key, made from the models: `python -m optimizer.config.document`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from optimizer.config.annotations import plain
from optimizer.config.schema import Schema, fields, is_list, model_in, needed, variable
from optimizer.config.settings import Settings

_HEAD = """\
# Configuration

<!-- Made by `python -m optimizer.config.document > docs/configuration.md` -->

sunmode reads one TOML file: `--config PATH`, else `$SUNMODE_CONFIG`, else `./config.toml`, else
`/etc/sunmode/config.toml`. Environment variables stand above credential files, these above the file, and the
file above the defaults below. All problems are reported at once, one line each, with file, line, key and what
is allowed; `sunmode check` tells them without starting anything. With a bad configuration sunmode ends with
code 78.

- **Environment.** `SUNMODE_CONTROL__CYCLE_S=10` sets `cycle_s` in `[control]`. Text is taken as it stands,
  everything else is written as in TOML. A list is set as a whole, for instance
  `SUNMODE_CHARGER='[{ name = "garage", serial = "..." }]'`. An unknown name that begins with `SUNMODE_` is an
  error, apart from `SUNMODE_CONFIG` and `SUNMODE_REAL_DATA` (where the tests look for measured data).
- **Secrets** never stand in the file. The token comes from `SUNMODE_SOLAX__TOKEN`, from the credential file
  `solax__token` in `$CREDENTIALS_DIRECTORY` (systemd: `LoadCredential=solax__token:/etc/sunmode/token`), or
  from `token_file`; keys of forecast providers likewise (`forecast__solcast__api_key`, `key_file`). No
  message repeats them.
- **File names** are relative to the configuration file's directory.
- **A real charger** needs `base_url`, `inverter` and the token in `[solax]`, and `serial` in each charger.
- **Goals** are wall time at the site. A time that the clock skips in spring or shows twice in autumn has two
  readings: the earlier one counts.
"""

_SCHEMA = Schema()
_ROW = "| {key} | {meaning} | {value} | {default} | {variable} |\n"
_TABLE_HEAD = "| key | meaning | value | default | environment |\n|---|---|---|---|---|\n"


def document() -> str:
    """Return `docs/configuration.md`."""
    return _HEAD + "".join(_sections(Settings, ()))


def _sections(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[str]:
    for name, field in fields(model):
        inner = model_in(field.annotation)
        if inner is not None:
            yield _section((*above, name), inner, repeated=is_list(field))
            yield from _sections(inner, (*above, name))
    for name, table in _SCHEMA.tables(model).items():
        yield _section((*above, name), table, repeated=False)


def _section(where: tuple[str, ...], model: type[BaseModel], *, repeated: bool) -> str:
    name = ".".join(where)
    title = f"[[{name}]]" if repeated else f"[{name}]"
    intro = (model.__doc__ or "").partition("\n\n")[0]
    rows = "".join(
        _row((*where, key), field) for key, field in fields(model) if model_in(field.annotation) is None
    )
    return f"\n## `{title}`\n\n{intro}\n\n{_TABLE_HEAD}{rows}"


def _row(where: tuple[str, ...], field: FieldInfo) -> str:
    reachable = _SCHEMA.settable(where)
    return _ROW.format(
        key=f"`{where[-1]}`",
        meaning=_sentence(field.description or ""),
        value=needed(where, field),
        default=_default(field),
        variable=f"`{variable(where)}`" if reachable == where else f"in `{variable(reachable)}`",
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}.".replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "none" if value is None else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case Enum():
            return f'"{value.name.lower()}"'
        case int() | float():
            return plain(value)
        case str() | PurePath():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(_toml(one) for one in value)}]"
    return str(value)


if __name__ == "__main__":
    sys.stdout.write(document())
