"""Commands for developers: `python -m dev --help`."""

import sys
from pathlib import Path

import click


@click.group()
def main() -> None:
    """Run Spool and the servers it stands on, on this machine."""


@main.command()
def up() -> None:
    """The whole suite in one process, until Ctrl-C."""
    from dev import commands

    commands.up()


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--keep", is_flag=True, help="Keep the suite running afterwards, until Ctrl-C.")
def demo(file: Path, keep: bool) -> None:
    """One recording through the whole suite, shown on the terminal."""
    from dev import commands

    commands.demo(file, keep)


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


@main.command()
@click.option("--port", default=8092, show_default=True, help="Where it listens, on 127.0.0.1.")
@click.option("--webhook", help="The address of the app that it tells of changes; it has to answer already.")
def dropbox(port: int, webhook: str | None) -> None:
    """A stand-in of Dropbox, with faults on demand, until Ctrl-C."""
    from dev.dropbox.command import run

    run(port, webhook)


@main.command("paid-api")
@click.option("--port", default=8091, show_default=True, help="Where it listens, on 127.0.0.1.")
@click.option("--key", default="sk-stand-in", show_default=True, help="The key that it asks for.")
@click.option("--delay", default=0.0, show_default=True, help="Seconds that each call takes.")
def paid_api(port: int, key: str, delay: float) -> None:
    """A stand-in of the paid speech API, with faults on demand, until Ctrl-C."""
    from dev.paid_api.command import run

    run(port, key, delay)


@main.command()
@click.option("--port", default=8025, show_default=True, help="Where it listens, on 127.0.0.1.")
@click.option(
    "--fault", "faults", multiple=True, help="What goes wrong once, for example `RCPT 450 4.2.1 later`, `END cut`."
)
def mail(port: int, faults: tuple[str, ...]) -> None:
    """A mail server that shows what it takes, with faults on demand, until Ctrl-C."""
    from dev.mail.command import run

    run(port, faults)


if __name__ == "__main__":
    main(prog_name="python -m dev")
