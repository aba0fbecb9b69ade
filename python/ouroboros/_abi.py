"""Structures and constants of the C interface, as ctypes has them."""

import ctypes
from ctypes import (Structure, Union, c_char, c_int, c_int32, c_int64,
                    c_long, c_uint8, c_uint16, c_uint32, c_uint64)

NAME_SIZE = 255  # bytes of a name without its end
PATH_SIZE = 511

# fccntl
FLOWSRCVTIMEO = 0o1
FLOWGRCVTIMEO = 0o2
FLOWSSNDTIMEO = 0o3
FLOWGSNDTIMEO = 0o4
FLOWGQOSSPEC = 0o5
FLOWSFLAGS = 0o6
FLOWGFLAGS = 0o7
FLOWGRXQLEN = 0o10
FLOWGTXQLEN = 0o11
FRCTSFLAGS = 0o1000
FRCTGFLAGS = 0o2000


class Timespec(Structure):
    _fields_ = [("tv_sec", c_int64), ("tv_nsec", c_long)]


class QoS(Structure):
    _fields_ = [("delay", c_uint32), ("bandwidth", c_uint64),
                ("availability", c_uint8), ("loss", c_uint32),
                ("ber", c_uint32), ("in_order", c_uint8),
                ("max_gap", c_uint32), ("timeout", c_uint32)]


class IpcpListInfo(Structure):
    _fields_ = [("pid", c_int32), ("type", c_int),
                ("name", c_char * NAME_SIZE), ("layer", c_char * NAME_SIZE)]


class NameSecPaths(Structure):
    _fields_ = [("enc", c_char * (PATH_SIZE + 1)),
                ("key", c_char * (PATH_SIZE + 1)),
                ("crt", c_char * (PATH_SIZE + 1))]


class NameInfo(Structure):
    _fields_ = [("name", c_char * (NAME_SIZE + 1)), ("pol_lb", c_int),
                ("s", NameSecPaths), ("c", NameSecPaths)]


class LsConfig(Structure):
    _fields_ = [("pol", c_int), ("t_recalc", c_long), ("t_update", c_long),
                ("t_timeo", c_long)]


class RoutingConfig(Structure):
    _fields_ = [("pol", c_int), ("ls", LsConfig)]


class DtConfig(Structure):
    _fields_ = [("addr_size", c_uint8), ("eid_size", c_uint8),
                ("max_ttl", c_uint8), ("routing", RoutingConfig)]


class DhtConfig(Structure):
    _fields_ = [("alpha", c_uint32), ("k", c_uint32), ("t_expire", c_uint32),
                ("t_refresh", c_uint32), ("t_replicate", c_uint32),
                ("peer", c_uint64)]


class DirConfig(Structure):
    _fields_ = [("pol", c_int), ("dht", DhtConfig)]


class UnicastConfig(Structure):
    _fields_ = [("dt", DtConfig), ("dir", DirConfig),
                ("addr_auth_type", c_int), ("cong_avoid", c_int)]


class EthConfig(Structure):
    _fields_ = [("dev", c_char * (NAME_SIZE + 1)), ("ethertype", c_uint16)]


class In4Addr(Structure):
    _fields_ = [("words", c_uint32)]


class In6Addr(Structure):
    _fields_ = [("words", c_uint32 * 4)]


class Udp4Config(Structure):
    _fields_ = [("ip_addr", In4Addr), ("dns_addr", In4Addr),
                ("port", c_uint16)]


class Udp6Config(Structure):
    _fields_ = [("ip_addr", In6Addr), ("dns_addr", In6Addr),
                ("port", c_uint16)]


class LayerInfo(Structure):
    _fields_ = [("name", c_char * (NAME_SIZE + 1)), ("dir_hash_algo", c_int)]


class _TypeConfig(Union):
    _fields_ = [("unicast", UnicastConfig), ("udp4", Udp4Config),
                ("udp6", Udp6Config), ("eth", EthConfig)]


class IpcpConfig(Structure):
    _anonymous_ = ["of"]
    _fields_ = [("layer_info", LayerInfo), ("type", c_int),
                ("of", _TypeConfig)]


# What the structures must be like: a mistake here would corrupt memory, and
# Python machines differ.
for _struct, _size in ((Timespec, 16), (QoS, 40), (IpcpListInfo, 520),
                       (NameSecPaths, 1536), (NameInfo, 3332), (LsConfig, 32),
                       (RoutingConfig, 40), (DtConfig, 48), (DhtConfig, 32),
                       (DirConfig, 40), (UnicastConfig, 96), (EthConfig, 258),
                       (Udp4Config, 12), (Udp6Config, 36), (LayerInfo, 260),
                       (IpcpConfig, 528)):
    if ctypes.sizeof(_struct) != _size:
        raise ImportError(f"ouroboros does not run on this kind of machine: "
                          f"{_struct.__name__} has {ctypes.sizeof(_struct)} "
                          f"bytes instead of {_size}")
