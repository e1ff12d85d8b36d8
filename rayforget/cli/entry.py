"""The application and its entry point; each command is a function of a file beside it."""

import gc
import io
import os
import sys
from typing import Annotated

import typer

from rayforget.cli import choosing, handing_over, looking, on_clusters, own_models, running
from rayforget.cli.mistyped import MISTYPED, tell
from rayforget.quiet import be_quiet

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Finds what fine-tuning costs a foundation model in generality, and which recipes and interpolations buy it "
    "back.",
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("rayforget"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of rayforget itself; the application's own help stands for this one."""


app.command()(running.sweep)
app.command()(running.check)
app.command()(on_clusters.submit)
app.command()(on_clusters.attach)
app.command()(on_clusters.stop)
app.command()(on_clusters.logs)
app.command()(running.schema)
app.command()(own_models.interpolate)
app.command()(own_models.evaluate)
app.command("list")(looking.list_)
app.command()(looking.status)
app.command()(looking.frontier)
app.command()(looking.report)
app.command()(choosing.pick)
app.command()(choosing.gate)
app.command()(handing_over.export)
app.command()(handing_over.trial)
app.command()(looking.mirror)
app.command()(looking.ui)
app.command()(looking.rm)


def main() -> None:
    """Runs a command; a fault in the user's input, or of a disk, is one message and exit code 2."""
    be_quiet()
    gc.set_threshold(100_000, 50, 50)  # a record's objects, a million of them, live to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter shows ?
            stream.reconfigure(errors="replace")
    from rayforget.errors import RayforgetError
    from rayforget.extensions.use import naming_the_blamed

    try:
        try:
            with naming_the_blamed():
                code = app(standalone_mode=False)
        finally:
            sys.stdout.flush()
        sys.exit(code or 0)
    except MISTYPED as error:
        sys.exit(tell(error))
    except typer.Abort:
        print("Aborted!", file=sys.stderr)
        sys.exit(1)
    except RayforgetError as error:
        from rayforget.printable import printable

        print(printable(str(error)), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        from rayforget.printable import one_line

        reason = one_line(" ".join(str(error).split()))
        print(f"the system refused ({type(error).__name__}: {reason}); mend that and try again", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        from rayforget.extensions.malformed import malformed_package
        from rayforget.printable import one_line

        if (text := malformed_package(error)) is None:
            raise
        print(one_line(text), file=sys.stderr)
        sys.exit(2)
