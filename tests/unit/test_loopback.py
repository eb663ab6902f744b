"""What is said of a port that cannot be had."""

import socket

from agent.api import loopback


def refused() -> OSError:
    error = OSError(13, "An attempt was made to access a socket in a way forbidden by its access permissions")
    error.winerror = 10013  # as Windows' own errors have it
    return error


def test_one_that_windows_keeps_for_itself_is_no_programs():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = loopback._taken(port, refused())
    assert f"Windows refuses port {port}, and names no program that has it" in said
    assert "excludedportrange" in said
    assert "choose another with [api] port" in said


def test_one_that_a_program_has_for_itself_alone_is_that_programs():
    with socket.create_server(("127.0.0.1", 0)) as held:
        said = loopback._taken(held.getsockname()[1], refused())
    assert "is taken by" in said
    assert "Windows" not in said
