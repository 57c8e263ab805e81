"""Commands for developers: `python -m dev --help`."""

import sys

import click


@click.group()
def main() -> None:
    """Run Spool and the servers it stands on, on this machine."""


@main.group()
def services() -> None:
    """Real MariaDB, Mongo and RabbitMQ servers, private and on loopback."""


@services.command("up")
def services_up() -> None:
    """Start them in the background and print the variables that tests read."""
    from dev.services import background

    for name, url in background.up().items():
        click.echo(f"export {name}='{url}'")


@services.command("down")
def services_down() -> None:
    """End those in the background."""
    from dev.services import background

    click.echo("ended" if background.down() else "none were running")


@services.command("run", context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def services_run(command: tuple[str, ...]) -> None:
    """Run COMMAND with servers of its own, and end with its status."""
    from dev.services.foreground import run

    sys.exit(run(command))


if __name__ == "__main__":
    main(prog_name="python -m dev")
