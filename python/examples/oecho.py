#!/usr/bin/env python3
"""Echo, one flow at a time.

    irm name register oecho layer LAYER    # once
    oecho.py -l                            # server
    oecho.py                               # client
"""

import argparse
import os

from ouroboros.dev import *
from ouroboros.irm import BindError, bind_process


def client() -> None:
    with flow_alloc("oecho") as f:
        f.writeline("Hello, PyOuroboros!")
        print(f.readline())


def server() -> None:
    try:
        bind_process(os.getpid(), "oecho")
    except BindError:
        pass  # the program is bound, perhaps; this process need not be
    print("Starting the server.", flush=True)
    while True:
        with flow_accept() as f:
            print("New flow.", flush=True)
            try:
                line = f.readline()
            except FlowDownException:
                continue  # the client has gone without a word
            print("Message from client is " + line, flush=True)
            f.writeline(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A simple echo client/server")
    parser.add_argument("-l", "--listen", help="run as a server", action="store_true")
    try:
        server() if parser.parse_args().listen else client()
    except KeyboardInterrupt:
        pass
