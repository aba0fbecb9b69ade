#!/usr/bin/env python3
"""Echo for many clients at once, with a flow set.

    irm name register oecho layer LAYER    # once
    oecho_set.py -l                        # server
    oecho_set.py                           # client
"""

import argparse
import os
import threading

from ouroboros.event import *
from ouroboros.irm import BindError, bind_process


def client() -> None:
    with flow_alloc("oecho") as f:
        f.writeline("Hello, PyOuroboros!")
        print(f.readline())


def accept(flows: FlowSet) -> None:
    """Puts all new flows into the set."""
    while True:
        f = flow_accept()
        f.set_flags(FlowProperties.ReadWrite | FlowProperties.NonBlockingRead)
        print("New flow.", flush=True)
        flows.add(f)


def answer(f: Flow) -> None:
    """Answers all that has come; an event may find nothing, or more."""
    try:
        while True:
            line = f.readline()
            print("Message from client is " + line, flush=True)
            f.writeline(line)
    except BlockingIOError:
        pass


def server() -> None:
    try:
        bind_process(os.getpid(), "oecho")
    except BindError:
        pass  # the program is bound, perhaps; this process need not be
    print("Starting the server.", flush=True)
    fq = FEventQueue()
    with FlowSet() as flows:
        threading.Thread(target=accept, args=(flows,), daemon=True).start()
        while True:
            flows.wait(fq)
            for f, t in fq:
                try:
                    if t == FEventType.FlowPkt:
                        answer(f)
                    elif t in (FEventType.FlowDealloc, FEventType.FlowDown, FEventType.FlowPeer):
                        f.dealloc()  # leaves the set
                except (FlowDownException, FlowNotAllocatedException, FlowDeallocWarning):
                    pass  # its other events say so, or have said so


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A simple echo client/server")
    parser.add_argument("-l", "--listen", help="run as a server", action="store_true")
    try:
        server() if parser.parse_args().listen else client()
    except KeyboardInterrupt:
        pass
