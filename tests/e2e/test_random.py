"""Each launch draws random numbers of its own, whatever the warm-up has drawn: where two runs of lua differ, two launches do, and they
differ from the warm-up; where they are equal, so are the launches."""

import os
import subprocess

import pytest
from conftest import JIT, LUA, MOONLET, REAL_LUA, SANITIZED, Image, Pair, environment, run

pytestmark = pytest.mark.skipif(SANITIZED, reason="SANITIZED: it is about the libraries as they are")

PROBE = "local probe = require 'random_probe' "
LUA_S_OWN = "math.random(0, 2^30) .. ' ' .. math.random(0, 2^30) .. ' ' .. math.random(0, 2^30)"
NEW_EACH_TIME = LUA in ("5.4", "5.5")  # math.random

GENERATORS = {
    "OpenSSL": "probe.openssl('RAND_bytes')",
    "OpenSSL, private": "probe.openssl('RAND_priv_bytes')",
    "libgcrypt, nonces": "probe.gcrypt_nonce()",
    "libgcrypt, strong": "probe.gcrypt(1)",
    "libgcrypt, very strong": "probe.gcrypt(2)",
    "GnuTLS, nonces": "probe.gnutls(0)",
    "GnuTLS, random": "probe.gnutls(1)",
    "GnuTLS, keys": "probe.gnutls(2)",
    "libsodium": "probe.sodium()",
    "libuuid": "probe.uuid('uuid_generate')",
    "libuuid, random": "probe.uuid('uuid_generate_random')",
    "SQLite": "probe.sqlite()",
    "GLib": "probe.glib()",
    "NSS": "probe.nss()",
    "arc4random": "probe.arc4random()",
    "libbsd": "probe.arc4random('libbsd.so.0')",
    "getrandom": "probe.getrandom()",
    "getentropy": "probe.getentropy()",
    "libstdc++": "require 'libcxx_probe'.random_device()",  # its module's objects speak at the end, too
    "luaossl": "require 'openssl.rand'.bytes(16)",
    "LuaSQL": "require 'luasql.sqlite3'.sqlite3():connect(':memory:'):execute('select random(), random()'):fetch()",
    "/dev/urandom": "io.open('/dev/urandom'):read(16)",
    "os.tmpname": "(function() local name = os.tmpname() os.remove(name) return name end)()",
}
if NEW_EACH_TIME:
    GENERATORS["math.random"] = LUA_S_OWN

DRAW = "local ok, drawn, why = pcall(function() return %s end) io.write(ok and drawn and '' or 'none: ' .. tostring(why or drawn), " \
       "(tostring(drawn or ''):gsub('[^%%w/_-]', function(c) return ('%%02x'):format(c:byte()) end)), '\\n') io.flush() "


def draw(generator):
    return PROBE + DRAW % generator


def drawn(result):
    assert result.status == 0 and result.err == b"", result
    lines = [line for line in result.out.decode().splitlines() if " goes" not in line]
    for line in lines:
        if line.startswith("none: "):
            pytest.skip("NOT THERE: " + line)
    return lines


def lua_s(script):
    """The arguments of run() for the real lua."""
    return REAL_LUA, ["lua", "-e", script], environment()


def launches(image, script, count, wrapped=()):
    _, (program, env) = Pair(image).programs()
    if wrapped:
        return [run(wrapped[0], [*wrapped, program, "-e", script], env) for _ in range(count)]
    return [run(program, ["lua", "-e", script], env) for _ in range(count)]


def assert_all_differ(image, script, wrapped=()):
    """No number comes twice: in the warm-up, in three launches, within one."""
    seen = drawn(image.warm_up)
    for result in launches(image, script, 3, wrapped):
        seen += drawn(result)
    assert len(seen) >= 6 and len(set(seen)) == len(seen), seen


def generators():
    return pytest.mark.parametrize("generator", [pytest.param(code, id=name) for name, code in GENERATORS.items()])


@generators()
def test_drawn_in_two_launches(freeze, generator):
    assert_all_differ(freeze(), draw(generator) * 2)


class FrozenInside(Image):
    """An image that a command has frozen, which is `wrap` and moonlet."""

    def __init__(self, directory, wrap, *warm_up):
        self.path = os.path.join(str(directory), "image")
        command = [*wrap, MOONLET, "--freeze", self.path, *warm_up]
        self.warm_up = run(command[0], command, environment())


def frozen(directory, wrap, warm_up):
    """An image, or a test that ends here, as the warm-up has locked memory: that is refused by name."""
    # NSS looks at /tmp, where others write: an image that asks after files would be outdated by chance.
    image = FrozenInside(directory, wrap, "--trust", "-e", warm_up)
    if b"VmLck" in image.warm_up.err:
        assert image.warm_up.status == 1 and not os.path.exists(image.path)
        pytest.skip("LOCKS MEMORY: it cannot be frozen")
    assert image.warm_up.status == 0, image.warm_up
    return image


@generators()
def test_drawn_in_the_warm_up_and_in_two_launches(tmp_path, generator):
    drawn(run(*lua_s(draw(generator))))
    assert_all_differ(frozen(tmp_path, [], draw(generator) * 2), draw(generator) * 2)


def in_a_new_pid_namespace():
    """A command in which what it runs is process 1, of a namespace of its own."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", *(["--user", "--map-root-user"] if os.geteuid() != 0 else [])]
    if subprocess.run([*command, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("NEEDS NAMESPACES: nobody may make one here")
    return command


@generators()
def test_drawn_by_launches_that_have_the_pid_of_the_warm_up(tmp_path, generator):
    """A generator that compares pids does not see that it was copied."""
    wrap = in_a_new_pid_namespace()
    drawn(run(*lua_s(draw(generator))))
    image = frozen(tmp_path, wrap, draw(generator) * 2)
    [first] = launches(image, "io.write(io.open('/proc/self/stat'):read('*a'):match('^%d+'), '\\n')", 1, wrap)
    assert drawn(first) == ["1"]
    assert_all_differ(image, draw(generator) * 2, wrap)


@generators()
def test_a_child_of_a_launch_draws_numbers_of_its_own(tmp_path, generator):
    """As far as lua's own child does."""
    fork = "local p = require 'probe' local child = p.fork() "
    script = draw(generator) + fork + draw(generator) + "if child == 0 then p.quick_exit(0) end p.wait(child)"
    own = drawn(run(*lua_s(script)))
    image = frozen(tmp_path, [], draw(generator))
    got = drawn(launches(image, script, 1)[0])
    assert len(got) == len(own) == 3
    assert len(set(got)) == len(set(own)), (got, own)


PSEUDO = ["rand", "random", "drand48"]


@pytest.mark.parametrize("generator", PSEUDO)
@pytest.mark.parametrize("warm_up", ["", "probe.draw('{0}')", "probe.seed('{0}', '42')",
                                     "probe.seed('{0}', '42') probe.draw('{0}')"])
def test_a_generator_that_is_untouched_or_has_a_constant_seed(freeze, generator, warm_up):
    """Two runs of lua are equal: so are two launches."""
    warm_up = (PROBE + warm_up.format(generator)) if warm_up else ""
    script = PROBE + f"for i = 1, 5 do print(probe.draw('{generator}')) end"
    image = freeze(*(["-e", warm_up] if warm_up else []))
    first, second = map(drawn, launches(image, script, 2))
    assert first == second and len(set(first)) == 5


@pytest.mark.parametrize("generator", PSEUDO)
def test_a_generator_with_a_seed_of_entropy(freeze, generator):
    """Two runs of lua differ."""
    image = freeze("-e", PROBE + f"probe.seed('{generator}', 'entropy')")
    script = PROBE + f"print(probe.draw('{generator}'), probe.draw('{generator}'))"
    first, second = map(drawn, launches(image, script, 2))
    assert first != second


@pytest.mark.parametrize("warm_up", ["", "math.random()", "math.random() math.random()"])
def test_math_random(freeze, warm_up):
    """New each time where lua's is, the same each time where lua's is the same."""
    script = "print(" + LUA_S_OWN + ")"
    first, second = map(drawn, launches(freeze("-e", warm_up), script, 2))
    assert (first != second) == NEW_EACH_TIME


@pytest.mark.skipif(LUA == "5.1" or JIT, reason="LUA 5.1 cannot seed by nothing")
@pytest.mark.parametrize("warm_up", ["math.randomseed(%s)", "math.randomseed(%s) math.random()"])
def test_math_random_with_a_seed_of_entropy(freeze, warm_up):
    seed = "" if NEW_EACH_TIME else "tonumber(require 'random_probe'.getentropy():sub(1, 7), 16)"
    image = freeze("-e", warm_up % seed)
    first, second = map(drawn, launches(image, "print(" + LUA_S_OWN + ")", 2))
    assert first != second


def test_libsodium_s_other_generator(freeze):
    """randombytes_internal, which is not the default: it aborts in a forked child, so no warm-up can use it."""
    assert_all_differ(freeze(), draw("probe.sodium_internal()") * 2)


def said(result):
    assert result.status == 0 and result.err == b"", result
    return result.out.decode().splitlines()


def test_pages_that_a_fork_wipes_are_empty(freeze):
    """MADV_WIPEONFORK is for what must not be there twice (madvise(2), Linux 4.14)."""
    image = freeze("-e", PROBE + "print(probe.wipe())")
    if said(image.warm_up)[0].startswith("nil"):
        pytest.skip("NO MADV_WIPEONFORK: " + said(image.warm_up)[0])
    assert said(image.warm_up) == ["filled 8192, zero 0"]
    for result in launches(image, PROBE + "print(probe.wipe())", 2):
        assert said(result) == ["filled 0, zero 8192"]


def test_pages_that_a_fork_wipes_are_wiped_in_a_launch_s_child(freeze):
    image = freeze("-e", PROBE + "print(probe.wipe())")
    if said(image.warm_up)[0].startswith("nil"):
        pytest.skip("NO MADV_WIPEONFORK: " + said(image.warm_up)[0])
    assert said(launches(image, PROBE + "print(probe.wipe_in_child())", 1)[0]) == ["empty"]


def test_pages_that_the_kernel_may_drop_are_empty(freeze):
    """MAP_DROPPABLE is what getrandom in the vdso keeps its state in (Linux 6.11)."""
    image = freeze("-e", PROBE + "print(probe.drop())")
    if said(image.warm_up)[0].startswith("nil"):
        pytest.skip("NO MAP_DROPPABLE: " + said(image.warm_up)[0])
    for result in launches(image, PROBE + "print(probe.drop())", 2):
        assert said(result) == ["filled 0, zero 8192"]


def test_pages_that_no_child_has_cannot_be_frozen(tmp_path):
    """Nobody has said whether they may be there twice."""
    path = tmp_path / "image"
    result = run(MOONLET, ["lua", "--freeze", str(path), "-e", "require 'random_probe'.leave_out()"], environment())
    assert result.status == 1 and result.out == b"" and b"moonlet: " in result.err, result
    assert not path.exists()
