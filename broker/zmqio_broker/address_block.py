"""Keeps addresses away from a listening socket: the kernel drops their attempts to connect (TCP, Linux).

Closing a connection after libzmq has accepted it is too late: the peer has sent hundreds of kilobytes by then.
"""

import contextlib
import ctypes
import ipaddress
import socket
import struct
import sys
from collections.abc import Collection

__all__ = ["drop_from", "filter_program"]

_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER
# Instructions of the kernel's packet filter. Source: linux/bpf_common.h, linux/filter.h.
_LOAD_BYTE, _LOAD_WORD, _SHIFT_RIGHT, _JUMP_EQUAL, _RETURN = 0x30, 0x20, 0x74, 0x15, 0x06
_NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF
_IPV4_SOURCE, _IPV6_SOURCE = 12, 8
_KEEP, _DROP = 0xFFFFFFFF, 0
_CAN_FILTER = sys.platform == "linux"

Instruction = tuple[int, int, int, int]
"""Code, offset if true, offset if false, operand. Source: struct sock_filter."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def drop_from(listener: int, hosts: Collection[str]) -> None:
    """Drop what these addresses send to a listening socket of libzmq; other addresses are accepted.

    Replaces the filter of an earlier call. Without hosts, everyone is accepted. Does nothing for other than TCP
    sockets, or if the socket is closed.
    """
    with contextlib.suppress(OSError):
        connection = socket.socket(fileno=listener)
        try:
            if _CAN_FILTER and connection.family != socket.AF_UNIX:
                _attach(connection, filter_program(hosts))
        finally:
            connection.detach()


def filter_program(hosts: Collection[str]) -> list[Instruction]:
    """Return the packet filter that drops packets from `hosts`, which are IP addresses; empty without hosts."""
    program: list[Instruction] = []
    for host in hosts:
        with contextlib.suppress(ValueError):
            program += _drop_address(_parse(host))
    return [*program, (_RETURN, 0, 0, _KEEP)] if program else []


def _parse(host: str) -> Address:
    """Parse an address. A socket for both versions shows an IPv4 address inside an IPv6 one."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _drop_address(address: Address) -> list[Instruction]:
    words = struct.unpack(f">{len(address.packed) // 4}I", address.packed)
    at = _NETWORK_HEADER + (_IPV4_SOURCE if address.version == 4 else _IPV6_SOURCE)
    rest = 2 * len(words) + 1  # instructions that follow the test of the version
    program: list[Instruction] = [
        (_LOAD_BYTE, 0, 0, _NETWORK_HEADER),
        (_SHIFT_RIGHT, 0, 0, 4),
        (_JUMP_EQUAL, 0, rest, address.version),
    ]
    for number, word in enumerate(words):
        rest -= 2
        program += [(_LOAD_WORD, 0, 0, at + 4 * number), (_JUMP_EQUAL, 0, rest, word)]
    return [*program, (_RETURN, 0, 0, _DROP)]


def _attach(listener: socket.socket, program: list[Instruction]) -> None:
    if not program:
        listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
        return
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code)))
