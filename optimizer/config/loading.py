"""From a file and an environment to `Settings`, or to one `ConfigError` that lists every problem.

Pure but for reading the files it is told of: loading a candidate changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from optimizer.config.forecast import ForecastChoice, KeyedChoice, where_keys_go
from optimizer.config.locate import Where, line_numbers
from optimizer.config.overrides import CONFIG_VARIABLE, read_credentials, read_environment
from optimizer.config.problems import Sources, messages
from optimizer.config.schema import Schema, variable
from optimizer.config.secret_files import read_secret
from optimizer.config.settings import WHERE_TOKENS_GO, Settings
from optimizer.config.strategies import DEFAULT, SHADOW
from optimizer.config.toml_file import TomlFile, read_toml
from optimizer.config.words import file_name, is_secret
from optimizer.errors import ConfigError

_RELATIVE = " (names are relative to the configuration file's directory)"
SEARCHED = (Path("config.toml"), Path("/etc/sunmode/config.toml"))


def find_config(explicit: Path | None, env: Mapping[str, str]) -> Path:
    """Return the file to read: `explicit`, else `$SUNMODE_CONFIG`, else the first there is of `SEARCHED`.

    Raises:
        ConfigError: nothing was given and none of the usual places has one.

    """
    named = explicit or (Path(env[CONFIG_VARIABLE]) if env.get(CONFIG_VARIABLE) else None)
    if named is not None:
        return named
    for path in SEARCHED:
        if path.is_file():
            return path
    places = " nor ".join(str(path) for path in SEARCHED)
    raise ConfigError(
        f"no configuration: there is neither {places}; name one with --config or {CONFIG_VARIABLE}"
    )


def load_settings(path: Path | None, env: Mapping[str, str]) -> Settings:
    """Return the settings of a file (None: the defaults) with those of the environment above them.

    Precedence: environment variables, credential files, file, defaults.  Relative file names are
    taken from the file's directory.

    Raises:
        ConfigError: one line per problem, each with its place; never with a secret.

    """
    file = TomlFile("", {}) if path is None else read_toml(path)
    schema = Schema(
        strategy=_named(file.values, env, ("strategy", "name")) or DEFAULT,
        shadow=_named(file.values, env, ("strategy", SHADOW, "name")),
    )
    environment, credentials = read_environment(env, schema), read_credentials(env)
    document, secrets = _without_secrets(file.values)
    sources = Sources(
        name="defaults" if path is None else file_name(path),
        document=document,
        lines=line_numbers(file.text),
        overrides=environment.values,
        origins=credentials.origins | environment.origins,
        schema=schema,
    )
    settings, found = _built(environment.values, credentials.values, document)
    if settings is not None:
        settings = settings.anchored(Path() if path is None else path.parent)
        found = [*_unreadable(settings)]
    told = messages(secrets, replace(sources, origins={})) + messages(found, sources)
    told += environment.refused + credentials.refused
    if settings is None or told:
        # Not chained: a validation error may hold what was refused.
        raise ConfigError("\n".join(told)) from None
    return settings


def _named(document: dict[str, Any], env: Mapping[str, str], where: tuple[str, ...]) -> str:
    """Return the name of the strategy that a key gives, "" for none; it is checked later."""
    value: Any = document
    for part in where:
        value = value.get(part) if isinstance(value, dict) else None
    name = env.get(variable(where), value)
    return name if isinstance(name, str) else ""


def _built(*layers: dict[str, Any]) -> tuple[Settings | None, list[Any]]:
    """Return the settings of the layers, the first the strongest, or pydantic's error details."""
    sources = tuple(InitSettingsSource(Settings, layer) for layer in layers)
    try:
        return Settings(_build_sources=(sources, {})), []
    except ValidationError as error:
        return None, list(error.errors(include_url=False, include_input=False))


def _without_secrets(document: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the document without its secrets, and a refusal for each of them."""
    found: list[Where] = []
    kept = _pruned(document, (), found)
    return kept, [
        _refusal(where, f"secrets do not belong in this file; {_instead(where)}") for where in found
    ]


def _instead(where: Where) -> str:
    """Return where the secret should be that stands in the file."""
    tables = where[-2:-1] if where[:1] == ("forecast",) else ()
    if tables and isinstance(tables[0], str) and tables[0] in ForecastChoice.model_fields:
        return f"give the key by {where_keys_go(tables[0])}"
    return f"give the token by {WHERE_TOKENS_GO}"


def _pruned(value: Any, where: Where, found: list[Where]) -> Any:
    if isinstance(value, list):
        return [_pruned(inner, (*where, index), found) for index, inner in enumerate(value)]
    if not isinstance(value, dict):
        return value
    found += [(*where, key) for key in value if is_secret(key)]
    return {key: _pruned(inner, (*where, key), found) for key, inner in value.items() if not is_secret(key)}


def _unreadable(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield a refusal for each file that the settings name and that cannot be read now."""
    solax, virtual = settings.solax, settings.virtual
    if solax.token is None and solax.token_file is not None:
        try:
            read_secret(solax.token_file)
        except ConfigError as error:
            yield _refusal(("solax", "token_file"), f"{error}{_RELATIVE}")
    for table in ("forecast_solar", "solcast"):
        choice: KeyedChoice = getattr(settings.forecast, table)
        try:
            choice.key()
        except ConfigError as error:
            yield _refusal(("forecast", table, "key_file"), f"{error}{_RELATIVE}")
    if settings.is_virtual:
        for key, file in (("house", virtual.house), ("sessions", virtual.sessions)):
            if file is not None and not file.is_file():
                yield _refusal(("virtual", key), f"no such file{_RELATIVE}")


def _refusal(where: Where, text: str) -> dict[str, Any]:
    return {"type": "refused", "loc": where, "msg": text}
