"""What scripts of one image share, and another image's do not: docs/security.md says what that means."""

import pytest
from conftest import SERVED, environment, run


def output(zygote, code):
    result = run(SERVED, ["lua", "-e", code], environment(MOONLET_SOCKET=zygote.socket))
    assert result.status == 0, result
    return result.out


def layout(zygote):
    return output(zygote, "for line in io.lines('/proc/self/maps') do if line:find('/', 1, true) then print(line) end end")


def order_of_keys(zygote):
    """It follows from the seed of Lua's hashes."""
    return output(zygote, "local t = {} for i = 1, 100 do t['key' .. i] = i end for key in pairs(t) do print(key) end")


@pytest.mark.parametrize("secret", [layout, order_of_keys])
def test_scripts_of_one_zygote_share_it_and_a_restart_changes_it(start_zygote, secret):
    if secret is layout and open("/proc/sys/kernel/randomize_va_space").read() == "0\n":
        pytest.skip("ADDRESSES ARE NOT RANDOM ON THIS MACHINE")
    zygote, restarted = start_zygote(), start_zygote()
    first = secret(zygote)
    assert first and secret(zygote) == first
    assert secret(restarted) != first


def test_random_numbers_are_each_script_s_own(start_zygote):
    """Also where the warm-up has drawn some; but not where it has chosen a seed."""
    for warm_up in ("", "math.random()"):
        zygote = start_zygote("-e", warm_up)
        assert len({output(zygote, "print(math.random(0))") for _ in range(20)}) == 20
