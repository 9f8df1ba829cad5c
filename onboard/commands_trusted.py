"""Arguments of who vouches for what, and what comes aboard: keys, sign, install, status."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from .arguments import Repeated, as_json, count, existing

PURPOSES = ("release", "development", "root")


def keys_new(parser: ArgumentParser) -> None:
    """Of `geobridge keys new`."""
    text = "writes NAME.key, to be kept secret, and NAME.pub"
    parser.add_argument("-o", dest="out", type=Path, required=True, metavar="NAME", help=text)
    text = "what it may sign: bundles, bundles on trial, lists of keys (default %(default)s)"
    parser.add_argument("--purpose", choices=PURPOSES, default="release", help=text)
    as_json(parser)


def keys_list(parser: ArgumentParser) -> None:
    """Of `geobridge keys list`."""
    parser.epilog = """\
example:
  geobridge keys list -o keys.json --list-version 2 --release mine.pub --revoke 56475aa75463474c
  geobridge keys sign keys.json --key root_a.key
  geobridge keys sign keys.json --key root_b.key

and on the aircraft, in onboard.toml:
  trust = { key_list = "keys.json", root_keys = ["root_a.pub", "root_b.pub"], threshold = 2 }
"""
    add = parser.add_argument
    text = "of the list; a new list is not signed yet"
    add("-o", dest="out", type=Path, required=True, metavar="KEYS.json", help=text)
    text = "rises with every list, for no older one is taken"
    add("--list-version", dest="version", type=count, required=True, metavar="N", help=text)
    for purpose in PURPOSES[:2]:
        text = f"public {purpose} key to trust; may be given again"
        add(f"--{purpose}", type=existing, action=Repeated, default=(), metavar="PUB", help=text)
    text = "fingerprint of a key that was lost, or its .pub; may be given again"
    add("--revoke", dest="revoked", action=Repeated, default=(), metavar="KEY", help=text)
    as_json(parser)


def keys_sign(parser: ArgumentParser) -> None:
    """Of `geobridge keys sign`."""
    add = parser.add_argument
    add("path", type=existing, metavar="KEYS.json", help="what keys list wrote")
    add("--key", type=existing, required=True, metavar="ROOT.key", help="of purpose root")
    as_json(parser)


def keys_show(parser: ArgumentParser) -> None:
    """Of `geobridge keys show`."""
    add = parser.add_argument
    add("path", type=existing, metavar="FILE", help="a .pub or .key, or a list of keys")
    text = "root key that may have signed the list; may be given again"
    add(
        "--root", dest="roots", type=existing, action=Repeated, default=(), metavar="PUB", help=text
    )
    text = "so many of them must have (default %(default)s)"
    add("--threshold", type=count, default=2, metavar="N", help=text)
    as_json(parser)


def sign(parser: ArgumentParser) -> None:
    """Of `geobridge sign`."""
    add = parser.add_argument
    add("bundle", type=existing, metavar="BUNDLE", help="folder")
    add("--key", type=existing, required=True, metavar="PRIVATE", help="what keys new wrote")
    text = (
        "also write BUNDLE.downgrade, which lets a store whose newest version is N install this"
        " older bundle"
    )
    add("--downgrade-from", type=count, metavar="N", help=text)
    as_json(parser)


def install(parser: ArgumentParser) -> None:
    """Of `geobridge install`."""
    parser.epilog = """\
copies a signed bundle into the slot that does not fly, tries it out in a process of its own, and
lets it fly from the next start of the daemon on, if the vehicle is disarmed and on the ground. Exit
code 1: it is in its slot and waits; the same command activates it.
"""
    add = parser.add_argument
    add("bundle", type=existing, metavar="BUNDLE", help="folder, or a tar of one")
    _config(parser)
    text = "a signed word that this older bundle may come (geobridge sign --downgrade-from)"
    add("--downgrade", type=existing, metavar="FILE", help=text)
    text = "no autopilot can say so, but the vehicle is on the ground"
    add("--on-the-bench", action="store_true", help=text)
    as_json(parser)


def status(parser: ArgumentParser) -> None:
    """Of `geobridge status`."""
    _config(parser)
    as_json(parser)


def _config(parser: ArgumentParser) -> None:
    text = "of the daemon; its bundle is store:FOLDER (default %(default)s)"
    default = Path("/etc/geobridge/onboard.toml")
    parser.add_argument("--config", type=Path, default=default, metavar="TOML", help=text)
