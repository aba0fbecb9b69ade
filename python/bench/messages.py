#!/usr/bin/env python3
"""Messages between two Python programs: over a flow, and, in the same run and
in the same manner, over a SEQPACKET socket pair.

    messages.py [--rounds N] [--seconds S]

Needs a daemon, and the package installed or on PYTHONPATH. The programs are two
processes: this one, and a child that it starts. Each measurement is made
several times, by turns; the table has the medians, and what the best and the
worst run gave.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time

from ouroboros import cli, irm
from ouroboros.dev import Flow, flow_accept, flow_alloc

SMALL, LARGE = bytes(64), bytes(1400)
STOP = b"stop"


class FlowEnd:
    """A flow as the benchmark uses one."""

    def __init__(self, f: Flow) -> None:
        self.send, self.receive, self.close = f.write, f.read, f.dealloc


class SocketEnd:
    """The same for a socket."""

    def __init__(self, s: socket.socket) -> None:
        self.send, self.receive, self.close = s.send, lambda n=2048: s.recv(n), s.close


def serve(end) -> None:
    """Answers, or only takes, what comes, as the first message says."""
    send, receive = end.send, end.receive
    while True:
        order = receive(2048)
        if order == b"echo":
            m = receive(2048)
            while m != STOP:
                send(m)
                m = receive(2048)
        elif order == b"take":
            while receive(2048) != STOP:
                pass
        else:
            return
        send(b"done")


def round_trips(end, seconds: float):
    """Median and 99th percentile in microseconds."""
    send, receive, clock = end.send, end.receive, time.perf_counter
    send(b"echo")
    times = []
    until = clock() + seconds
    now = clock()
    while now < until:
        send(SMALL)
        receive(2048)
        then, now = now, clock()
        times.append(now - then)
    send(STOP)
    assert receive(2048) == b"done"
    times.sort()
    return times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6


def one_way(end, seconds: float, message: bytes) -> float:
    """Messages per second, counted when the other side has taken all."""
    send, clock = end.send, time.perf_counter
    send(b"take")
    began, n = clock(), 0
    while clock() < began + seconds:
        for _ in range(500):
            send(message)
        n += 500
    send(STOP)
    assert end.receive(2048) == b"done"
    return n / (clock() - began)


def ends(role: str, name: str, fd: int):
    """Both ends of this side, the server's ones first accepted."""
    s = socket.socket(fileno=fd)
    if role == "serve":
        f = flow_accept(30)
    else:
        f = flow_alloc(name, timeo=30)
    return FlowEnd(f), SocketEnd(s)


def child(name: str, fd: int) -> None:
    irm.bind_process(os.getpid(), name)
    print("bound", flush=True)
    flow, sock = ends("serve", name, fd)
    order = {b"flow": flow, b"sock": sock}
    while True:
        which = sys.stdin.readline().strip().encode()
        if which not in order:
            return
        serve(order[which])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each takes")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], int(args.child[1]))
        return

    name = f"bench-{os.getpid()}"
    cli.autoboot(name, irm.IpcpType.LOCAL, name)
    cli.reg_name(name, layer=name)
    try:
        measure(name, args)
    finally:
        irm.destroy_name(name)
        cli.destroy_ipcp(name)


def measure(name: str, args: argparse.Namespace) -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    p = subprocess.Popen([sys.executable, __file__, "--child", name, str(there.fileno())],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[there.fileno()],
                         universal_newlines=True)
    there.close()
    assert p.stdout.readline() == "bound\n"
    flow, sock = ends("call", name, here.detach())
    found = {}
    for _ in range(args.rounds):
        for which, end in (("flow", flow), ("sock", sock)):
            p.stdin.write(which + "\n")
            p.stdin.flush()
            got = {"rtt": round_trips(end, args.seconds)}
            got["p50"], got["p99"] = got.pop("rtt")
            got["small"] = one_way(end, args.seconds, SMALL)
            got["large"] = one_way(end, args.seconds, LARGE)
            end.send(b"end")
            for k, v in got.items():
                found.setdefault((k, which), []).append(v)
    p.stdin.close()
    p.wait()
    flow.close()
    sock.close()

    print(f"Python {sys.version.split()[0]}, {args.rounds} runs")
    for k, what, unit in (("p50", "round trip 64 B, median", "µs"), ("p99", "round trip 64 B, p99", "µs"),
                          ("small", "one way 64 B", "thousand/s"), ("large", "one way 1400 B", "thousand/s")):
        scale = 1 if unit == "µs" else 1e-3
        f, s = ([v * scale for v in found[k, w]] for w in ("flow", "sock"))
        ratio = statistics.median(f) / statistics.median(s)
        print(f"{what:25} flow {statistics.median(f):8.1f} ({min(f):.1f} to {max(f):.1f})   "
              f"socket {statistics.median(s):8.1f} ({min(s):.1f} to {max(s):.1f}) {unit:10}  {ratio:.2f} x")


if __name__ == "__main__":
    main()
