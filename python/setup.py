#!/usr/bin/env python3
"""Builds and installs the package without pip.

    setup.py build                 what is compiled, beside the sources
    setup.py install [--prefix DIR | --user] [--root DIR]
    setup.py bdist_wheel           a wheel, in dist/ or --dist-dir DIR
    setup.py sdist                 the sources, in the same places
"""

import argparse
import os
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path
from typing import Callable

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import backend  # noqa: E402


def target(args: argparse.Namespace) -> Path:
    """The directory that packages are installed in."""
    if args.user:
        path = sysconfig.get_path("platlib", f"{os.name}_user")
    elif args.prefix:
        path = sysconfig.get_path("platlib", vars={"base": args.prefix, "platbase": args.prefix})
    else:
        path = sysconfig.get_path("platlib")
    if args.root:
        return Path(args.root) / Path(path).relative_to("/")
    return Path(path)


def place(content: bytes, path: Path, mode: int) -> None:
    """Writes a file in one step: programs may be running from the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(path)


def install(args: argparse.Namespace) -> None:
    directory = target(args)
    with tempfile.TemporaryDirectory() as tmp:
        wheel = zipfile.ZipFile(os.path.join(tmp, backend.build_wheel(tmp)))
        try:
            for entry in wheel.infolist():
                place(wheel.read(entry), directory / entry.filename,
                      entry.external_attr >> 16 & 0o777 or 0o644)
        except PermissionError as e:
            sys.exit(f"cannot install: {e}; run this as root, with --user, or in a virtual environment")
        wheel.close()
    print(f"installed in {directory}")


def dist(build: Callable[[str], str], args: argparse.Namespace) -> None:
    directory = Path(args.dist_dir or HERE / "dist")
    directory.mkdir(parents=True, exist_ok=True)
    print(directory / build(str(directory)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("build")
    p = commands.add_parser("install")
    where = p.add_mutually_exclusive_group()
    where.add_argument("--prefix", help="below this directory")
    where.add_argument("--user", action="store_true", help="for this user only")
    p.add_argument("--root", help="below another root, for packagers")
    for name in ("bdist_wheel", "sdist"):
        commands.add_parser(name).add_argument("--dist-dir", help="where to put it (dist)")
    args = parser.parse_args()
    if args.command == "build":
        backend.build_in_place()
    elif args.command == "install":
        install(args)
    elif args.command == "bdist_wheel":
        dist(backend.build_wheel, args)
    elif args.command == "sdist":
        dist(backend.build_sdist, args)
    else:
        parser.print_help()
        sys.exit(1)


if __name__ == "__main__":
    main()
