#!/usr/bin/env python3
"""Sends a file over a reliable flow.

    irm name register files layer LAYER          # once
    transfer.py receive --name files DIRECTORY   # one file, then it ends
    transfer.py send --name files FILE

The first message is a JSON object with the name and the size of the file; its
bytes follow. The receiver answers with their SHA-256.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO, Iterator

from ouroboros.dev import *
from ouroboros.irm import BindError, bind_process

CHUNK = 8192  # bytes of a message; fits all layers


class Bar:
    """A bar on the standard error that shows how far it has come."""

    def __init__(self, title: str, size: int) -> None:
        self.title, self.size, self.done = title, size, 0
        self.began = self.drawn = time.monotonic()

    def add(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if now - self.drawn > 0.1 or self.done == self.size:
            self.drawn = now
            self.draw(now - self.began)

    def draw(self, seconds: float) -> None:
        part = self.done / self.size if self.size else 1.0
        rate = self.done / seconds / 1e6 if seconds else 0.0
        bar = "#" * int(30 * part)
        end = "\n" if self.done == self.size else ""
        print(f"\r{self.title} [{bar:30}] {100 * part:3.0f} % {rate:7.1f} MB/s", end=end,
              file=sys.stderr, flush=True)


def chunks(file: BinaryIO, bar: Bar) -> Iterator[bytes]:
    while True:
        chunk = file.read(CHUNK)
        if not chunk:
            return
        yield chunk
        bar.add(len(chunk))


def send(name: str, path: Path) -> None:
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file, flow_alloc(name, QoSSpec(loss=0, ber=0)) as f:
        f.writeline(json.dumps({"name": path.name, "size": size}))
        for chunk in chunks(file, Bar(path.name, size)):
            f.write(chunk)
            digest.update(chunk)
        if f.readline() != digest.hexdigest():
            sys.exit("transfer: the receiver has got something else")


def receive(name: str, directory: Path) -> None:
    try:
        bind_process(os.getpid(), name)
    except BindError:
        pass  # the program is bound, perhaps; this process need not be
    print("Waiting for a file.", flush=True)
    with flow_accept() as f:
        about = json.loads(f.readline())
        path = directory / Path(about["name"]).name  # no directory of the sender's
        size = int(about["size"])
        bar, digest = Bar(path.name, size), hashlib.sha256()
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            while bar.done < size:
                chunk = f.read(CHUNK + 1)
                file.write(chunk)
                digest.update(chunk)
                bar.add(len(chunk))
        part.replace(path)
        f.writeline(digest.hexdigest())
        try:
            f.read()  # the sender ends the flow when it has the answer
        except FlowDownException:
            pass
    print(f"Received {path}.", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Sends a file over a reliable flow")
    commands = parser.add_subparsers(dest="command", required=True)
    p = commands.add_parser("send", help="send a file")
    p.add_argument("--name", default="files", help="name of the receiver (files)")
    p.add_argument("file", type=Path)
    p = commands.add_parser("receive", help="receive a file")
    p.add_argument("--name", default="files", help="name to receive under (files)")
    p.add_argument("directory", type=Path)
    args = parser.parse_args()
    try:
        if args.command == "send":
            send(args.name, args.file)
        else:
            receive(args.name, args.directory)
    except (FlowException, FlowDownException, OSError) as e:
        sys.exit(f"transfer: {e}")
    except KeyboardInterrupt:
        pass
