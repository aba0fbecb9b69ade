"""What the README of pyOuroboros shows works, as it stands there."""

import os
import unittest

from ouroboros import cli, irm
from ouroboros.dev import *
from ouroboros.event import FEventQueue, FEventType, FlowSet
from ouroboros.irm import *

from tests.support import DaemonTest, PATIENCE, unique


class BasicUsage(DaemonTest):
    def test_a_flow_is_accepted_and_allocated_and_deallocated(self):
        name = self.name()
        accepted = self.in_thread(lambda: flow_accept())
        f = flow_alloc(name)
        server = accepted.result()
        self.assertIsInstance(f, Flow)
        self.assertIsInstance(server, Flow)
        f.dealloc()
        server.dealloc()

    def test_a_broadcast_layer_is_joined(self):
        layer = unique("bc")
        ipcp = unique("ipcp")
        cli.autoboot(ipcp, IpcpType.BROADCAST, layer)
        self.addCleanup(cli.destroy_ipcp, ipcp)
        f = flow_join(layer)
        other = flow_join(layer)
        f.writeline("to all")
        self.assertEqual(other.readline(), "to all")
        f.dealloc()
        other.dealloc()
        flow_join(layer, 1.0).dealloc()  # the second is taken as a time-out
        flow_join(layer, QoSSpec(), 1.0).dealloc()

    def test_with(self):
        with self.echoing() as dst:
            with flow_alloc(dst) as f:
                f.writeline("line")
                self.assertEqual(f.readline(), "line")
            with self.assertRaises(FlowNotAllocatedException):
                f.readline()
            with self.assertRaises(FlowNotAllocatedException):
                f.writeline("line")

    def test_an_object_is_allocated_again(self):
        with self.echoing(flows=2) as name:
            f = flow_alloc(name)
            f.dealloc()
            f.alloc(name)
            f.writeline("again")
            self.assertEqual(f.readline(), "again")
            with self.assertRaises(FlowAllocatedException):
                f.alloc(name)
            f.dealloc()

    def test_counts(self):
        f, g = self.pair()
        buf = b"0123456789"
        self.assertEqual(f.write(buf, 4), 4)
        self.assertEqual(g.read(10), b"0123")
        self.assertEqual(f.write(buf, 20), 10)
        self.assertEqual(g.read(4), b"0123")
        self.assertEqual(g.read(20), b"456789")
        self.assertEqual(f.writeline("grüße", 4), 6)
        self.assertEqual(g.readline(3), "grü")


class QualityOfService(DaemonTest):
    def test_without_loss_there_is_retransmission(self):
        qos = QoSSpec(loss=0, timeout=60000)
        f, g = self.pair(qos)
        self.assertEqual(qos.in_order, 0, "what the caller gave is not changed")
        for end in (f, g):
            self.assertEqual(end.get_qos().loss, 0)
            self.assertEqual(end.get_qos().timeout, 60000)
            self.assertEqual(end.get_qos().in_order, 1)
            self.assertTrue(end.get_frct_flags() & FRCT_RETRANSMIT)


class Manipulating(DaemonTest):
    def test_all_methods(self):
        f, g = self.pair()
        f.set_snd_timeout(0.5)
        f.set_rcv_timeout(1.0)
        self.assertEqual(f.get_snd_timeout(), 0.5)
        self.assertEqual(f.get_rcv_timeout(), 1.0)
        self.assertEqual(f.get_qos().loss, 1)
        self.assertEqual(f.get_tx_queue_len(), 0)
        f.writeline("one")
        f.writeline("two")
        self.assertEqual(f.get_tx_queue_len(), 2)
        self.assertEqual(g.get_rx_queue_len(), 2)
        flags = FlowProperties.ReadWrite | FlowProperties.NonBlocking
        f.set_flags(flags)
        self.assertEqual(f.get_flags(), flags)

    def test_names_of_the_flags(self):
        self.assertEqual([p.name for p in (
            FlowProperties.ReadOnly, FlowProperties.WriteOnly, FlowProperties.ReadWrite,
            FlowProperties.Down, FlowProperties.NonBlockingRead,
            FlowProperties.NonBlockingWrite, FlowProperties.NonBlocking,
            FlowProperties.NoPartialRead, FlowProperties.NoPartialWrite)],
            ["ReadOnly", "WriteOnly", "ReadWrite", "Down", "NonBlockingRead",
             "NonBlockingWrite", "NonBlocking", "NoPartialRead", "NoPartialWrite"])


class Events(DaemonTest):
    def test_a_set(self):
        f, g = self.pair()
        set = FlowSet()
        set.add(f)
        set.remove(f)
        set.add(f)
        set.zero()
        set.destroy()

    def test_a_queue_is_read_until_it_is_empty(self):
        pairs = [self.pair() for _ in range(3)]
        fq = FEventQueue()
        set = FlowSet([f for f, _ in pairs])
        for i, (_, g) in enumerate(pairs):
            g.writeline(str(i))
        lines = []
        while len(lines) < 3:
            set.wait(fq, timeo=PATIENCE)
            while fq:
                f, t = fq.next()
                if t == FEventType.FlowPkt:
                    lines.append(f.readline())
        self.assertEqual(sorted(lines), ["0", "1", "2"])
        set.destroy()

    def test_a_queue_outlives_its_set(self):
        f, g = self.pair()
        g.writeline("line")
        fq = FEventQueue()
        with FlowSet([f]) as fs:
            fs.wait(fq)
        f2, t = fq.next()
        if t == FEventType.FlowPkt:
            line = f2.readline()
        self.assertEqual(line, "line")


class Management(DaemonTest):
    def test_ipcps(self):
        ipcp, layer = unique("my_ipcp"), unique("my_layer")
        pid = create_ipcp(ipcp, IpcpType.LOCAL)
        conf = IpcpConfig(ipcp_type=IpcpType.LOCAL, layer_name=layer)
        bootstrap_ipcp(pid, conf)
        lines = [str(i) for i in list_ipcps()]
        self.assertIn(f"IpcpInfo(pid={pid}, type=LOCAL, name='{ipcp}', layer='{layer}')", lines)
        destroy_ipcp(pid)
        self.assertNotIn(pid, [i.pid for i in list_ipcps()])

    def unicast(self, layer=None):
        """A unicast IPCP, reachable under its name; in a layer if one is given."""
        ipcp = unique("uni")
        cli.create_ipcp(ipcp, IpcpType.UNICAST)
        self.addCleanup(cli.destroy_ipcp, ipcp)
        cli.reg_name(ipcp, layer=self.layer)
        self.addCleanup(destroy_name, ipcp)
        if layer is not None:
            cli.bootstrap_ipcp(ipcp, IpcpConfig(
                ipcp_type=IpcpType.UNICAST, layer_name=layer, unicast=UnicastConfig()), autobind=True)
        return ipcp, cli._pid_of(ipcp)

    def test_a_member_enrolls_and_connects(self):
        layer = unique("my_layer")
        dst, _ = self.unicast(layer)
        name, pid = self.unicast()
        enroll_ipcp(pid, dst)
        self.assertEqual([i.layer for i in list_ipcps() if i.pid == pid], [layer])
        connect_ipcp(pid, DT_COMP, dst)
        disconnect_ipcp(pid, DT_COMP, dst)
        connect_ipcp(pid, MGMT_COMP, dst, qos=QoSSpec(loss=0))
        with self.assertRaises(IpcpConnectError):
            connect_ipcp(pid, DT_COMP, unique("nobody"))

    def test_a_unicast_layer_with_all_its_settings(self):
        for pol in LinkStatePolicy:
            for hash_algo in DirectoryHashAlgo:
                with self.subTest(pol=pol, hash=hash_algo):
                    conf = IpcpConfig(
                        ipcp_type=IpcpType.UNICAST,
                        layer_name=unique("my_layer"),
                        dir_hash_algo=hash_algo,
                        unicast=UnicastConfig(
                            dt=DtConfig(
                                addr_size=4,
                                eid_size=8,
                                max_ttl=60,
                                routing=RoutingConfig(
                                    pol=RoutingPolicy.LINK_STATE,
                                    ls=LinkStateConfig(
                                        pol=pol,
                                        t_recalc=4,
                                        t_update=15,
                                        t_timeo=60
                                    )
                                )
                            ),
                            dir=DirConfig(
                                pol=DirectoryPolicy.DHT,
                                dht=DhtConfig(
                                    alpha=3,
                                    k=8,
                                    t_expire=86400,
                                    t_refresh=900,
                                    t_replicate=900
                                )
                            ),
                            addr_auth=AddressAuthPolicy.FLAT_RANDOM,
                            cong_avoid=CongestionAvoidPolicy.MB_ECN
                        )
                    )
                    self.bootstraps(conf)

    def test_without_congestion_avoidance(self):
        self.bootstraps(IpcpConfig(IpcpType.UNICAST, unique("l"), unicast=UnicastConfig(
            cong_avoid=CongestionAvoidPolicy.CA_NONE)))
        self.assertIs(CA_NONE, CongestionAvoidPolicy.NONE)

    def bootstraps(self, conf):
        pid = create_ipcp(unique("ipcp"), conf.ipcp_type)
        try:
            bootstrap_ipcp(pid, conf)
            self.assertEqual([i.layer for i in list_ipcps() if i.pid == pid], [conf.layer_name])
        finally:
            destroy_ipcp(pid)

    def test_local_and_broadcast_layers(self):
        self.bootstraps(IpcpConfig(ipcp_type=IpcpType.LOCAL, layer_name=unique("local_layer")))
        self.bootstraps(IpcpConfig(ipcp_type=IpcpType.BROADCAST, layer_name=unique("bc_layer")))

    def test_a_unicast_layer_with_defaults(self):
        self.bootstraps(IpcpConfig(ipcp_type=IpcpType.UNICAST, layer_name=unique("my_layer"),
                                   unicast=UnicastConfig()))
        self.bootstraps(IpcpConfig(ipcp_type=IpcpType.UNICAST, layer_name=unique("my_layer")))

    @unittest.skipUnless(os.environ.get("OUROBOROS_TEST_DEVICE"),
                         "needs root: the driver makes a network device then")
    def test_layers_over_ethernet(self):
        for kind in (IpcpType.ETH_LLC, IpcpType.ETH_DIX):
            with self.subTest(kind=kind):
                self.bootstraps(IpcpConfig(ipcp_type=kind, layer_name=unique("eth_layer"), eth=EthConfig(
                    dev=os.environ["OUROBOROS_TEST_DEVICE"], ethertype=0xA000)))

    @unittest.skipUnless(os.environ.get("OUROBOROS_TEST_DEVICE"),
                         "needs root: the driver gives the machine these addresses then")
    def test_layers_over_udp(self):
        self.bootstraps(IpcpConfig(ipcp_type=IpcpType.UDP4, layer_name=unique("udp4_layer"), udp4=Udp4Config(
            ip_addr="192.168.1.1", dns_addr="192.168.1.254", port=3435)))
        self.bootstraps(IpcpConfig(ipcp_type=IpcpType.UDP6, layer_name=unique("udp6_layer"), udp6=Udp6Config(
            ip_addr="fd00::1", dns_addr="fd00::fe", port=3435)))

    def test_layers_over_udp_on_this_machine(self):
        self.bootstraps(IpcpConfig(IpcpType.UDP4, unique("udp4"), udp4=Udp4Config("127.0.0.1", port=13435)))

    def test_names(self):
        my_name = unique("my_name")
        pid = cli._pid_of(self.ipcp)
        info = NameInfo(name=my_name, pol_lb=LoadBalancePolicy.ROUND_ROBIN)
        create_name(info)
        reg_name(my_name, pid)
        unreg_name(my_name, pid)
        names = []
        for name in list_names():
            names.append(name.name)
        self.assertIn(my_name, names)
        destroy_name(my_name)

    def test_bindings(self):
        my_name = unique("my_name")
        bind_program("/bin/true", my_name, BIND_AUTO)
        unbind_program("/bin/true", my_name)
        pid = os.getpid()
        bind_process(pid, my_name)
        unbind_process(pid, my_name)
        destroy_name(my_name)


if __name__ == "__main__":
    unittest.main()
