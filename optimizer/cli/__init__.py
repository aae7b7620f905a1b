"""The command `sunmode`: each subcommand is imported only when it is called, so that `--help` is instant."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import click

from optimizer.errors import AnotherInstance, ConfigError, InputError, SunmodeError

EXIT_FAULT, EXIT_USAGE, EXIT_ANOTHER_INSTANCE, EXIT_CONFIG = 1, 2, 75, 78

_COMMANDS = {
    "backtest": (
        "optimizer.cli.backtest",
        "Tell what strategies would have made of past days.",
    ),
    "check": (
        "optimizer.cli.check",
        "Check config, token, cloud, chargers and database.",
    ),
    "demo": (
        "optimizer.cli.demo",
        "Watch the service charge a car through a real day, sped up.",
    ),
    "export": ("optimizer.cli.look", "Write the log's tables to Parquet files."),
    "forecast": ("optimizer.cli.forecast", "Tell how good the forecasts of sun and load were."),
    "goal": ("optimizer.cli.goal", "Have energy in the car by a time, for once; or list what is wanted."),
    "plan": ("optimizer.cli.plan", "Show how the strategy expects to go on, and what that comes to."),
    "report": ("optimizer.cli.report", "Tell how good a day or a month was, with pictures."),
    "rest": ("optimizer.cli.rest", "Bring chargers to rest that a dead service may have left charging."),
    "run": ("optimizer.cli.run", "Run the service until it is told to stop."),
    "score": ("optimizer.cli.score", "Score past days: what each strategy would have made of them."),
    "set": ("optimizer.cli.steer", "Take a charger by hand: a mode for some hours, or back to automatic."),
    "status": ("optimizer.cli.look", "Show what the service sees and does now."),
    "tune": (
        "optimizer.cli.tune",
        "Search a strategy's parameters on past weeks, and judge them on others.",
    ),
    "virtual": ("optimizer.cli.virtual", "Serve the virtual SolaX cloud over HTTP."),
    "why": ("optimizer.cli.look", "Explain the decision that holds now or held at TIME."),
}


class _LazyGroup(click.Group):
    """Knows its commands' names and first lines; loads a command's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[name][0])
        command = getattr(module, f"{name}_command")
        assert isinstance(command, click.Command)  # noqa: S101 - a broken table, not a user's mistake
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sunmode")
def cli() -> None:
    """Charge an electric car from solar surplus with a SolaX EV charger."""


config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="The config file; else $SUNMODE_CONFIG, ./config.toml, /etc/sunmode/config.toml.",
)


def exit_code(error: SunmodeError) -> int:
    """Return the process's exit code for an error that reached the top."""
    match error:
        case ConfigError():
            return EXIT_CONFIG
        case AnotherInstance():
            return EXIT_ANOTHER_INSTANCE
        case InputError():
            return EXIT_USAGE
        case _:
            return EXIT_FAULT


def main(args: list[str] | None = None) -> Any:
    """Run the command line; a user's mistake is one clear message, never a traceback."""
    try:
        return cli.main(args, prog_name="sunmode", standalone_mode=True)
    except SunmodeError as error:
        click.echo(f"sunmode: {error}", err=True)
        sys.exit(exit_code(error))
