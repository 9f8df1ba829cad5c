"""The one console command: finds the function in the table, calls it, prints what it returns.

The result goes to stdout, the log to stderr. Exit codes: 0 done, 1 failed, 2 usage, configuration,
data or bundle, 3 a comparison differs, 130 interrupted. A user's mistake is one line, a traceback
is a bug of ours.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from .commands import COMMANDS
from .errors import DifferenceError, GeobridgeError

EXTRAS = {
    "PIL": "replay",
    "matplotlib": "replay",
    "numba": "sim",
    "onnx": "export",
    "onnx_ir": "export",
    "onnxruntime": "cpu",
    "onnxscript": "export",
    "open_clip": "train",
    "pyarrow": "train",
    "pyulog": "replay",
    "rasterio": "train",
    "safetensors": "train",
    "scipy": "train",
    "torch": "train",
    "torchvision": "train",
}
"""Which extra brings a module that may be absent."""
_PURPOSE = "Visual position fixes for drones without GNSS."


class Parser(argparse.ArgumentParser):
    """One line about a mistake instead of the usage in front of it.

    What begins with a minus and a digit is a value and no option, as from Python 3.14 on: half of
    all coordinates begin so.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings
        )
        self._negative_number_matcher = re.compile(r"-\.?\d")

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    name, arguments = _chosen(list(sys.argv[1:] if argv is None else argv))
    parser = _parser(name)
    # alone a command is read at once, which names all that is missing and not only its options
    read = parser.parse_intermixed_args if arguments else parser.parse_args
    values = vars(read(arguments))
    logging.basicConfig(
        stream=sys.stderr,
        level=values.pop("log_level"),
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
    )
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # tells what it tried to load
    as_json = values.pop("as_json", False)
    return _run(name, lambda: _print(_function(COMMANDS[name].target)(**values), as_json))


def _chosen(words: list[str]) -> tuple[str, list[str]]:
    """The command that is meant, and what follows it; without one it leaves with the help."""
    for length in (2, 1):  # a command may have one beside it that begins with its name
        name = " ".join(words[:length])
        if name in COMMANDS:
            return name, words[length:]
    group = [word for word in words[:1] if any(name.startswith(f"{word} ") for name in COMMANDS)]
    parser = _chooser(*group)
    if words == group:
        parser.exit(2, parser.format_help())
    asked = parser.parse_args(words[len(group) :])
    return _chosen([*group, asked.command, *asked.arguments])


def _run(name: str, action: Callable[[], None]) -> int:
    try:
        action()
    except DifferenceError as error:
        return _complain(name, str(error), 3)
    except GeobridgeError as error:
        return _complain(name, str(error), 2)
    except ImportError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _complain(name, f'{error}; it comes with: pip install "geobridge-uav[{extra}]"', 2)
    except OSError as error:
        if error.filename is None:
            raise
        return _complain(name, f"{error.filename}: {error.strerror}", 1)
    except KeyboardInterrupt:
        return _complain(name, "interrupted", 130)
    return 0


def _complain(name: str, text: str, code: int) -> int:
    print(f"geobridge {name}: {' '.join(text.split())}", file=sys.stderr)
    return code


def _function(target: str) -> Callable[..., object]:
    # read once, when an OpenMP library loads: renderer, encoder and search share few cores here,
    # and threads that spin while they wait would take them from each other
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    module, _, name = target.partition(":")
    function: Callable[..., object] = getattr(importlib.import_module(module), name)
    return function


def _print(result: Any, as_json: bool) -> None:
    try:
        if result is not None:
            print(_text(result, as_json), flush=True)
    except BrokenPipeError:  # the reader, as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _text(result: Any, as_json: bool) -> str:
    if as_json:
        return json.dumps(result, indent=1, allow_nan=False, default=os.fspath)
    if isinstance(result, Mapping):
        return _table([[key, _cell(key, value)] for key, value in _flat(result)])
    if isinstance(result, list):
        keys = list(result[0]) if result else ["nothing found"]
        return _table([keys, *([_cell(key, row[key]) for key in keys] for row in result)])
    return str(result)


def _table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            leaves += _flat(value, f"{path}.")
        elif isinstance(value, list):
            leaves += [(path if not row else "", each) for row, each in enumerate(value)]
        else:
            leaves.append((path, value))
    return leaves


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.7f}" if key.endswith(("lat_deg", "lon_deg")) else f"{value:.3f}"
    return str(value)


def _chooser(group: str = "") -> Parser:
    """Asks for one of all commands, or of those whose names begin with the same word."""
    before = f"{group} ".lstrip()
    helps = {
        name.removeprefix(before): command.help
        for name, command in COMMANDS.items()
        if name.startswith(before)
    }
    width = max(map(len, helps))
    table = "\n".join(f"  {name:{width}}  {text}" for name, text in helps.items())
    prog = f"geobridge {group}".rstrip()
    parser = Parser(
        prog=prog,
        description=None if group else _PURPOSE,
        epilog=f"commands:\n{table}\n\n{prog} COMMAND --help tells the arguments of a command.",
    )
    if not group:
        parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    choices = list(dict.fromkeys(name.partition(" ")[0] for name in helps))
    parser.add_argument("command", metavar="COMMAND", choices=choices, help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the command")
    return parser


def _parser(name: str) -> Parser:
    parser = Parser(prog=f"geobridge {name}", description=COMMANDS[name].help)
    COMMANDS[name].arguments(parser)
    volume = parser.add_mutually_exclusive_group()
    for flag, level, text in (
        ("-v", logging.DEBUG, "log more"),
        ("-q", logging.WARNING, "log less"),
    ):
        volume.add_argument(flag, dest="log_level", action="store_const", const=level, help=text)
    parser.set_defaults(log_level=logging.INFO)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version  # slow to import, and seldom asked for

        print(f"geobridge {version('geobridge-uav')}")
        parser.exit()
