"""Addresses that only this machine reaches."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address; names other than localhost count as open."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
