"""The C library: where it is found, and what its functions are like.

It lies in the package when that was built here, and is else looked for among
the libraries of the system; OUROBOROS_LIBRARY names another one.
"""

import ctypes
import errno as _errno
import os
import sys
from ctypes import (POINTER, c_bool, c_char_p, c_int, c_int32, c_size_t, c_ssize_t,
                    c_uint16, c_void_p)
from typing import Optional

from ouroboros import _abi
from ouroboros._version import __version__
from ouroboros.qos import BILLION, QoSSpec

__all__ = ["control", "lib", "native", "qos_from_c", "qos_to_c", "seconds_of",
           "timespec"]

_HERE = os.path.dirname(os.path.abspath(__file__))


def _load() -> ctypes.CDLL:
    bundled = os.path.join(_HERE, "libouroboros.so")
    name = os.environ.get("OUROBOROS_LIBRARY") or (
        bundled if os.path.exists(bundled) else "libouroboros.so")
    try:
        return ctypes.CDLL(name)
    except OSError as e:
        raise ImportError(
            f"cannot load the library of Ouroboros: {e}; install the package "
            f"with pip, or the library, or set OUROBOROS_LIBRARY to its path"
        ) from None


lib = _load()

try:
    from ouroboros import _native as native
except ImportError as _e:
    raise ImportError(
        f"the package ouroboros was not built: {_e}; install it with pip, or "
        f"build it where it lies with: python3 setup.py build") from None


def _declare() -> None:
    """The types of the functions that are called through ctypes."""
    text, out = c_char_p, c_void_p
    qos, time = POINTER(_abi.QoS), POINTER(_abi.Timespec)
    functions = {
        "flow_alloc": (c_int, text, qos, time),
        "flow_accept": (c_int, qos, time),
        "flow_join": (c_int, text, time),
        "flow_dealloc": (c_int, c_int),
        "fset_create": (c_void_p,),
        "fset_destroy": (None, c_void_p),
        "fset_zero": (None, c_void_p),
        "fset_add": (c_int, c_void_p, c_int),
        "fset_del": (None, c_void_p, c_int),
        "fqueue_create": (c_void_p,),
        "fqueue_destroy": (None, c_void_p),
        "ouro_fset_fd": (c_int, c_void_p),
        "ouro_alloc_start": (c_int, text, qos, time),
        "ouro_accept_start": (c_int, time),
        "ouro_join_start": (c_int, text, time),
        "ouro_write_start": (c_int, c_int, text, c_size_t),
        "ouro_finish": (c_int, c_int, qos),
        "ouro_cancel": (c_int, c_int),
        "ouro_flow_mtu": (c_ssize_t, c_int),
        "ouro_strerror": (text, c_int),
        "ouro_version": (text,),
        "ouro_signals_on_stack": (None, c_bool),
        "irm_create_ipcp": (c_int32, text, c_int),
        "irm_destroy_ipcp": (c_int, c_int32),
        "irm_bootstrap_ipcp": (c_int, c_int32, POINTER(_abi.IpcpConfig)),
        "irm_enroll_ipcp": (c_int, c_int32, text),
        "irm_connect_ipcp": (c_int, c_int32, text, text, _abi.QoS),
        "irm_disconnect_ipcp": (c_int, c_int32, text, text),
        "irm_bind_program": (c_int, text, text, c_uint16, c_int, POINTER(text)),
        "irm_unbind_program": (c_int, text, text),
        "irm_bind_process": (c_int, c_int32, text),
        "irm_unbind_process": (c_int, c_int32, text),
        "irm_create_name": (c_int, POINTER(_abi.NameInfo)),
        "irm_destroy_name": (c_int, text),
        "irm_reg_name": (c_int, text, c_int32),
        "irm_unreg_name": (c_int, text, c_int32),
        "irm_list_ipcps": (c_ssize_t, POINTER(POINTER(_abi.IpcpListInfo))),
        "irm_list_names": (c_ssize_t, POINTER(POINTER(_abi.NameInfo))),
        "free": (None, out),
    }
    for name, (result, *args) in functions.items():
        f = getattr(lib, name)
        f.restype, f.argtypes = result, args
        if result is c_int or result is c_int32 or result is c_ssize_t:
            f.errcheck = _interrupted
    # It takes another argument for each command: see control.
    lib.fccntl.restype = c_int


def _interrupted(result: int, func: object, args: object) -> int:
    """Raises what a signal handler raised while a call waited."""
    if result == -_errno.EINTR:
        native.rethrow()
    return result


def _connect() -> None:
    def address(name: str) -> int:
        return ctypes.cast(getattr(lib, name), c_void_p).value or 0

    if sys.version_info >= (3, 10):
        # Its handlers of signals run on a stack of their own, and outside of
        # them nothing is called.
        lib.ouro_signals_on_stack(True)
    native.connect(*map(address, (
        "flow_read", "flow_write", "fevent", "fqueue_next", "fqueue_type",
        "ouro_on_interrupt")))


def _check_version() -> None:
    """Major and minor of the package and of the library are the same."""
    theirs = lib.ouro_version().decode()
    if __version__.split(".")[:2] != theirs.split(".")[:2]:
        raise RuntimeError(
            f"Ouroboros version mismatch: library is {theirs}, pyouroboros is "
            f"{__version__}; install both from the same release")


_declare()
_connect()
_check_version()


def control(fd: int, command: int, argument: object) -> int:
    """fccntl. argument is a pointer, a ctypes number, or None for NULL."""
    r: int = lib.fccntl(fd, command, c_void_p() if argument is None else argument)
    return r


def timespec(seconds: Optional[float]) -> Optional[_abi.Timespec]:
    """A time-out as the library takes it: None = none, 0 and less = zero."""
    if seconds is None:
        return None
    if seconds <= 0:
        return _abi.Timespec(0, 0)
    whole = int(seconds)
    return _abi.Timespec(whole, min(int((seconds - whole) * BILLION), BILLION - 1))


def seconds_of(t: _abi.Timespec) -> float:
    """The other way round; the integer 0 for zero."""
    if t.tv_sec <= 0 and t.tv_nsec == 0:
        return 0
    return float(t.tv_sec + t.tv_nsec / BILLION)


def qos_to_c(spec: QoSSpec) -> _abi.QoS:
    """The structure for a QoSSpec. Nothing is lost only where everything is
    in order, so loss=0 asks for that, too."""
    return _abi.QoS(spec.delay, spec.bandwidth, spec.availability, spec.loss,
                    spec.ber, 1 if spec.loss == 0 else spec.in_order,
                    spec.max_gap, spec.timeout)


def qos_from_c(c: _abi.QoS) -> QoSSpec:
    """The other way round."""
    return QoSSpec(c.delay, c.bandwidth, c.availability, c.loss, c.ber,
                   c.in_order, c.max_gap, c.timeout)
