"""What the scripts share: a Python that has xlabel, and one way to print a report or an error."""

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PYTHON = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"

if importlib.util.find_spec("xlabel") is None:
    if PYTHON.exists() and Path(sys.prefix).resolve() != PYTHON.parents[1].resolve():
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    hint = "xlabel is not installed for this Python: run `make demo` in the repository, or `pip install .`"
    print(hint, file=sys.stderr)
    sys.exit(2)


def run(job: Callable[[argparse.Namespace], Any], parser: argparse.ArgumentParser) -> None:
    """Run a job on the command line's options, print its report and exit with its code."""
    from xlabel.errors import XlabelError

    options = parser.parse_args()
    try:
        report = job(options)
    except XlabelError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; nothing was changed", file=sys.stderr)
        sys.exit(130)
    print(report)
    sys.exit(report.exit_code)
