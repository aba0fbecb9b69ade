"""Management, by pid and by name, and what its failures raise."""

import builtins
import os
import stat
import subprocess
import sys
import tempfile
import unittest

from ouroboros import _errors, cli, irm
from ouroboros.dev import QoSSpec, flow_alloc
from ouroboros.irm import *

from tests.support import DaemonTest, PATIENCE, eventually, unique


class Types(unittest.TestCase):
    def test_defaults(self):
        for made, want in (
            (LinkStateConfig(), dict(pol=0, t_recalc=4, t_update=15, t_timeo=60)),
            (RoutingConfig(), dict(pol=0, ls=LinkStateConfig())),
            (DtConfig(), dict(addr_size=4, eid_size=8, max_ttl=60, routing=RoutingConfig())),
            (DhtConfig(), dict(alpha=3, k=8, t_expire=86400, t_refresh=900, t_replicate=900)),
            (DirConfig(), dict(pol=0, dht=DhtConfig())),
            (UnicastConfig(), dict(dt=DtConfig(), dir=DirConfig(), addr_auth=0, cong_avoid=1)),
            (EthConfig(), dict(dev="", ethertype=0xA000)),
            (Udp4Config(), dict(ip_addr="0.0.0.0", dns_addr="0.0.0.0", port=3435)),
            (Udp6Config(), dict(ip_addr="::", dns_addr="::", port=3435)),
            (IpcpConfig(IpcpType.LOCAL), dict(ipcp_type=0, layer_name="", dir_hash_algo=1,
                                              unicast=None, eth=None, udp4=None, udp6=None)),
            (NameSecPaths(), dict(enc="", key="", crt="")),
            (NameInfo("n"), dict(name="n", pol_lb=0, server_sec=NameSecPaths(), client_sec=NameSecPaths())),
            (IpcpInfo(1, IpcpType.LOCAL, "x", "y"), dict(pid=1, type=0, name="x", layer="y")),
        ):
            self.assertEqual(vars(made), want)
        self.assertEqual(repr(IpcpInfo(1, IpcpType.LOCAL, "x", "y")),
                         "IpcpInfo(pid=1, type=LOCAL, name='x', layer='y')")
        self.assertEqual((BIND_AUTO, DT_COMP, MGMT_COMP), (1, "Data Transfer", "Management"))

    def test_exceptions(self):
        self.assertEqual(IrmError.__bases__, (Exception,))
        for e in (IpcpCreateError, IpcpBootstrapError, IpcpEnrollError, IpcpConnectError, BindError,
                  irm.NameError):
            self.assertTrue(issubclass(e, IrmError))
        self.assertTrue(issubclass(irm.NameError, builtins.NameError))

    def test_names_are_cut_between_characters(self):
        self.assertEqual(irm._cut("ä" * 200, 255), ("ä" * 127).encode())
        self.assertEqual(irm._cut("x" * 300, 255), b"x" * 255)


class Failures(DaemonTest):
    def fails(self, kind, number, call, *args, **kw):
        with self.assertRaises(kind) as c:
            call(*args, **kw)
        self.assertIs(type(c.exception), kind)
        self.assertEqual(c.exception.errno, number, c.exception)
        self.assertTrue(str(c.exception).startswith("cannot "), c.exception)

    def test_ipcps(self):
        pid = cli._pid_of(self.ipcp)
        conf = IpcpConfig(IpcpType.LOCAL, unique("layer"))
        with self.assertRaises(IpcpCreateError):
            create_ipcp(self.ipcp, IpcpType.LOCAL)
        self.fails(IpcpCreateError, _errors.EIPCPTYPE, create_ipcp, unique("x"), 9)
        self.fails(IrmError, _errors.EIPCP, destroy_ipcp, os.getpid())
        self.fails(IpcpBootstrapError, _errors.EIPCP, bootstrap_ipcp, os.getpid(), conf)
        self.fails(IpcpBootstrapError, _errors.EIPCPSTATE, bootstrap_ipcp, pid, conf)
        self.fails(IpcpEnrollError, _errors.EIPCP, enroll_ipcp, os.getpid(), "dst")
        self.fails(IpcpConnectError, _errors.EIPCP, connect_ipcp, os.getpid(), DT_COMP, "dst")
        self.fails(IpcpConnectError, _errors.EIPCP, disconnect_ipcp, os.getpid(), DT_COMP, "dst")

    def test_addresses(self):
        for conf, text in (
            (IpcpConfig(IpcpType.UDP4, "l", udp4=Udp4Config(ip_addr="x")), "Invalid IPv4 address: x"),
            (IpcpConfig(IpcpType.UDP4, "l", udp4=Udp4Config(dns_addr="x")), "Invalid IPv4 DNS address: x"),
            (IpcpConfig(IpcpType.UDP6, "l", udp6=Udp6Config(ip_addr="1.2.3.4")), "Invalid IPv6 address: 1.2.3.4"),
            (IpcpConfig(IpcpType.UDP6, "l", udp6=Udp6Config(dns_addr="x")), "Invalid IPv6 DNS address: x"),
        ):
            with self.assertRaisesRegex(ValueError, f"^{text}$"):
                bootstrap_ipcp(1, conf)

    def test_names(self):
        nobody = unique("nobody")
        pid = cli._pid_of(self.ipcp)
        self.fails(irm.NameError, _errors.ENAME, destroy_name, nobody)
        self.fails(irm.NameError, _errors.ENAME, reg_name, nobody, pid)
        self.fails(irm.NameError, _errors.ENAME, unreg_name, nobody, pid)
        with self.assertRaises(irm.NameError):
            create_name(NameInfo(""))
        with self.assertRaises(builtins.NameError):
            destroy_name(nobody)
        name = unique("name")
        for _ in range(2):  # that it exists is no error
            create_name(NameInfo(name, LoadBalancePolicy.SPILL))
        self.fails(irm.NameError, _errors.EIPCP, reg_name, name, os.getpid())
        self.assertEqual([n.pol_lb for n in list_names() if n.name == name], [LoadBalancePolicy.SPILL])
        destroy_name(name)

    def test_paths_of_a_name_come_back(self):
        name = unique("name")
        create_name(NameInfo(name))
        info, = cli.list_names(name)
        self.assertEqual((info.server_sec, info.client_sec), (NameSecPaths(), NameSecPaths()))
        destroy_name(name)

    def test_bindings(self):
        name = unique("name")
        self.fails(BindError, 2, bind_program, "/no/such/program", name)
        with self.assertRaises(BindError):
            unbind_program("/bin/true", name)
        with self.assertRaises(BindError):
            bind_process(4194303, name)
        with self.assertRaises(BindError):
            unbind_process(os.getpid(), name)


class Cli(DaemonTest):
    def test_ipcps(self):
        ipcp, layer = unique("ipcp"), unique("layer")
        cli.create_ipcp(ipcp, IpcpType.LOCAL)
        self.assertEqual([i.name for i in cli.list_ipcps(name=ipcp)], [ipcp])
        self.assertEqual(cli.list_ipcps(name=ipcp, ipcp_type=IpcpType.UNICAST), [])
        cli.bootstrap_ipcp(ipcp, IpcpConfig(IpcpType.LOCAL, layer))
        self.assertEqual([i.name for i in cli.list_ipcps(layer=layer)], [ipcp])
        cli.destroy_ipcp(ipcp)
        for call in (lambda: cli.destroy_ipcp(ipcp), lambda: cli.bind_ipcp(ipcp, "n"),
                     lambda: cli.unbind_ipcp(ipcp, "n"), lambda: cli.enroll_ipcp(ipcp, "n"),
                     lambda: cli.connect_ipcp(ipcp, "n"), lambda: cli.disconnect_ipcp(ipcp, "n"),
                     lambda: cli.bootstrap_ipcp(ipcp, IpcpConfig(IpcpType.LOCAL, layer))):
            with self.assertRaisesRegex(ValueError, f"No IPCP named '{ipcp}'"):
                call()

    def test_two_members_of_a_layer(self):
        layer, a, b = unique("layer"), unique("a"), unique("b")
        conf = IpcpConfig(IpcpType.UNICAST, "is replaced")
        cli.autoboot(a, IpcpType.UNICAST, layer, conf)
        self.addCleanup(cli.destroy_ipcp, a)
        self.assertEqual(conf.layer_name, layer)
        cli.reg_name(layer, layer=self.layer)
        cli.reg_name(a, ipcp=self.ipcp)
        cli.create_ipcp(b, IpcpType.UNICAST)
        self.addCleanup(cli.destroy_ipcp, b)
        cli.reg_name(b, ipcps=[self.ipcp, "nobody"], layers=["nowhere"])
        cli.enroll_ipcp(b, layer, autobind=True)
        self.assertEqual({i.name for i in cli.list_ipcps(layer=layer)}, {a, b})
        with self.assertRaisesRegex(ValueError, "No component 'x'"):
            cli.connect_ipcp(b, a, comp="x")
        with self.assertRaisesRegex(ValueError, "No component 'x'"):
            cli.disconnect_ipcp(b, a, comp="x")
        cli.connect_ipcp(b, a, qos=QoSSpec(loss=0))
        cli.disconnect_ipcp(b, a)
        cli.connect_ipcp(b, a, comp="mgmt")
        cli.connect_ipcp(b, a, comp="dt")
        # A flow over the layer that they make.
        with self.echoing() as name:
            cli.reg_name(name, layer=layer)
            cli.unreg_name(name, layer=self.layer)
            with flow_alloc(name, timeo=PATIENCE) as f:
                f.writeline("over two layers")
                self.assertEqual(f.readline(), "over two layers")
        for name in (a, b, layer):
            destroy_name(name)

    def test_autoboot_takes_an_ipcp_that_exists(self):
        ipcp, layer = unique("ipcp"), unique("layer")
        cli.create_ipcp(ipcp, IpcpType.LOCAL)
        cli.autoboot(ipcp, IpcpType.LOCAL, layer)
        self.assertEqual([i.layer for i in cli.list_ipcps(ipcp)], [layer])
        cli.destroy_ipcp(ipcp)

    def test_a_failed_bootstrap_leaves_no_bindings(self):
        ipcp, layer = unique("ipcp"), unique("layer")
        cli.autoboot(ipcp, IpcpType.BROADCAST, layer)
        self.addCleanup(cli.destroy_ipcp, ipcp)
        other = unique("layer")
        cli.unbind_ipcp(ipcp, ipcp)
        with self.assertRaises(IpcpBootstrapError):
            cli.bootstrap_ipcp(ipcp, IpcpConfig(IpcpType.BROADCAST, other), autobind=True)
        cli.bind_ipcp(ipcp, ipcp)  # is possible, so it was not bound any more
        cli.unbind_ipcp(ipcp, ipcp)

    def test_names_and_programs(self):
        name = unique("name")
        cli.create_name(name, LoadBalancePolicy.SPILL)
        self.assertEqual([n.pol_lb for n in cli.list_names(name)], [LoadBalancePolicy.SPILL])
        cli.destroy_name(name)
        cli.create_name("not this one", info=NameInfo(name))
        self.assertEqual(cli.list_names("not this one"), [])
        cli.reg_name(name)  # registers nothing
        path = os.environ["PATH"]
        for _ in range(2):
            cli.bind_program("true", name)
            cli.unbind_program("true", name)
        self.assertEqual(os.environ["PATH"], path)
        with self.assertRaisesRegex(BindError, "not found on PATH"):
            cli.bind_program(unique("no-such-program"), name)
        cli.bind_process(os.getpid(), name)
        cli.unbind_process(os.getpid(), name)
        cli.destroy_name(name)

    def test_what_can_be_imported(self):
        for name in ("DT_COMP MGMT_COMP IpcpType IpcpConfig IpcpInfo NameInfo BindError IrmError "
                     "UnicastConfig DtConfig RoutingConfig LinkStateConfig LinkStatePolicy EthConfig "
                     "Udp4Config Udp6Config QoSSpec").split():
            self.assertTrue(hasattr(cli, name), name)


SCRIPT = f"""#!{sys.executable}
import sys
sys.path[:0] = {sys.path!r}
from ouroboros.dev import *
with flow_accept(60) as f:
    f.write("\\0".join(sys.argv[1:]).encode())
    try:
        f.read()  # until the client has it
    except FlowDownException:
        pass
"""


class StartedOnDemand(DaemonTest):
    def test_a_script_with_twenty_arguments(self):
        name = unique("service")
        cli.reg_name(name, layer=self.layer)
        self.addCleanup(destroy_name, name)
        with tempfile.TemporaryDirectory() as directory:
            script = os.path.join(directory, "service.py")
            with open(script, "w") as f:
                f.write(SCRIPT)
            os.chmod(script, stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
            args = [f"argument {i} grüße" for i in range(18)] + ["", "--last=\"quoted\" \\ $HOME"]
            bind_program(script, name, BIND_AUTO, args)
            for _ in range(2):
                with flow_alloc(name, timeo=PATIENCE) as f:
                    self.assertEqual(f.readline().split("\0"), args)
            unbind_program(script, name)

    def test_a_script_under_any_interpreter(self):
        # Bound by its file, it is known however it is run.
        name = unique("service")
        cli.reg_name(name, layer=self.layer)
        self.addCleanup(destroy_name, name)
        with tempfile.TemporaryDirectory() as directory:
            script = os.path.join(directory, "service.py")
            with open(script, "w") as f:
                f.write(SCRIPT)
            os.chmod(script, 0o755)
            bind_program(script, name)
            for command in ([sys.executable, script], [sys.executable, "-u", "-X", "dev", script]):
                p = subprocess.Popen([*command, "a b"])
                try:
                    answers = []

                    def answered():
                        try:
                            with flow_alloc(name, timeo=PATIENCE) as f:
                                answers.append(f.readline())
                        except Exception:
                            return False  # it has not started yet
                        return True

                    eventually(answered, "the script accepts")
                    self.assertEqual(answers, ["a b"])
                    self.assertEqual(p.wait(PATIENCE), 0)
                finally:
                    p.kill()
                    p.wait()
            unbind_program(script, name)


if __name__ == "__main__":
    unittest.main()
