"""What a person sees of the command: reports, errors and the progress bar, on a terminal and elsewhere."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from cyclopts import CycloptsError, MissingArgumentError, UnusedCliTokensError

from xlabel.model.report import visible

TICK = 0.1
"""Seconds between two looks of the progress bar."""
NAMED = 3
"""So many arguments too many are named."""


def misread(error: CycloptsError) -> str:
    """What is wrong with a command line, and where to read on."""
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        more = error.unused_tokens
        some = ", ".join(map(repr, more[:NAMED])) + (f" and {len(more) - NAMED:,} more" * (len(more) > NAMED))
        what = f"expected no more arguments, got {some}; put a glob in quotes."
    elif isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.argument.name
        what = f"expected {name} and its value." if name.startswith("-") else f"expected {name}, got none."
        _, mean, other = str(error).partition(" Did you mean")
        what += mean + other
    else:
        what = str(error).strip()
        what += "" if what.endswith((".", "?")) else "."
    return f"{what} See {' '.join(('xlabel', *(error.command_chain or ())))} --help."


def printed(result: Any, json: bool) -> None:
    """Print a report for a person, or as JSON for a machine."""
    if json and hasattr(result, "json"):
        sys.stdout.writelines(result.json())
    elif json:
        import msgspec

        data = msgspec.to_builtins(result)
        if hasattr(result, "exit_code"):
            data["exit_code"] = result.exit_code
        print(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    elif sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        from rich.console import Console

        Console(highlight=False, soft_wrap=True).print(_coloured(str(result)))
    else:
        print(result)


def _coloured(text: str) -> Any:
    from rich.text import Text

    styles = {
        "note:": "dim",
        "next:": "cyan",
        "problem": "yellow",
        "loss": "yellow",
        "error": "red",
        "warning": "yellow",
    }
    out = Text()
    for number, line in enumerate(text.split("\n")):
        word = line.strip()
        style = next(
            (s for start, s in styles.items() if start in word.split(" ", 2)[:2] or word.startswith(start)),
            "",
        )
        out.append(line + "\n", style="bold" if number == 0 else style)
    out.right_crop(1)
    return out


def failed(message: str, code: int, json: bool, losses: list[Any] | None = None) -> int:
    """Say why nothing came of it; gives the exit code back."""
    if json:
        import msgspec

        found = {} if losses is None else {"losses": losses}
        print(msgspec.json.encode({"error": message, "exit_code": code} | found).decode())
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    red, plain = ("\033[31m", "\033[0m") if colour else ("", "")
    text = "\n".join(map(visible, message.split("\n")))
    print(f"{red}xlabel: {text}{plain}", file=sys.stderr)
    return code


def with_progress(job: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Run a job that tells its progress in bytes; the bar is shown on a terminal only."""
    if not sys.stderr.isatty():
        return job(*arguments, **options)
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    bar = Progress(
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,  # no thread: the job forks
    )
    shown = 0.0
    with bar:
        task = bar.add_task(job.__name__, total=None)

        def show(done: int, total: int) -> None:
            nonlocal shown
            if time.monotonic() - shown > TICK:
                shown = time.monotonic()
                bar.update(task, completed=done, total=total)
                bar.refresh()

        return job(*arguments, progress=show, **options)
