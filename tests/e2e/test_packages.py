"""The packages: what is made of this tree for Debian, OpenWrt, Nix and Liminix. Each is made and used here as far
as that goes without the system that it is for."""

import contextlib
import glob
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest
from conftest import BUILD, MOONLET, MOONLETCTL, MOONLETD, PATIENCE, REAL_LUA, SOURCE, Image, environment, run

PACKAGING = os.path.join(SOURCE, "packaging")
STUBS = os.path.join(SOURCE, "tests", "packaging")
UNITS = ("moonletd5.4.service", "moonletd5.4.socket")

# Debian's administrative programs are not on everybody's path.
os.environ["PATH"] += ":/usr/sbin:/sbin"


def needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"NOT INSTALLED: {program}")


def call(*command, status=0, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == status, f"{command}: {done.stdout[-5000:]}{done.stderr[-5000:]}"
    return done.stdout


def version():
    with open(os.path.join(SOURCE, "CMakeLists.txt")) as text:
        return re.search(r"project\(moonlet VERSION ([0-9.]+)", text.read()).group(1)


@contextlib.contextmanager
def serving(command):
    """Runs command(descriptor) from when it has said there that it serves until the end of the block."""
    ready, told = os.pipe()
    server = subprocess.Popen(list(map(str, command(told))), env=environment(), pass_fds=(told,))
    os.close(told)
    try:
        with os.fdopen(ready, "rb") as pipe:
            assert pipe.read(1) == b"\n"
        yield
    finally:
        server.terminate()
        status = server.wait(PATIENCE)
    assert status == 0  # the signal has reached moonletd itself


def hello(moonletctl, moonletd, tmp_path):
    """What a script says of its Lua, run by this moonletctl through this moonletd."""
    socket = tmp_path / "hello.sock"
    with serving(lambda told: [moonletd, "--socket", socket, "--ready-fd", told]):
        result = run(moonletctl, ["moonletctl", "run", "-e", "io.write(_VERSION)"], environment(MOONLET_SOCKET=str(socket)))
    assert result.status == 0, result
    return result.out.decode()


def frozen_hello(moonlet, tmp_path):
    """The same, said in an image that this moonlet has frozen, without a moonletd."""
    image = tmp_path / "hello.image"
    call(moonlet, "--freeze", image, "-e", "said = _VERSION", env=environment())
    result = run(moonlet, ["lua", "-e", "io.write(said)"], environment(MOONLET_IMAGE=str(image)))
    assert result.status == 0, result
    return result.out.decode()


@pytest.fixture(scope="module")
def lua_5_3(tmp_path_factory):
    """A tree with Debian's Lua 5.3 in it, as the build systems of OpenWrt and Nix lay it out."""
    root = tmp_path_factory.mktemp("lua") / "staging" / "usr"
    needs("pkg-config")
    try:
        libraries = call("pkg-config", "--variable=libdir", "lua5.3").strip()
    except AssertionError:
        pytest.skip("NOT INSTALLED: Lua 5.3")
    (root / "include").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "include" / "lua5.3").symlink_to("/usr/include/lua5.3")
    (root / "lib" / "liblua5.3.so").symlink_to(os.path.join(libraries, "liblua5.3.so"))
    return root


# Debian


@pytest.fixture(scope="module")
def deb():
    return make_deb("5.4")


def make_deb(lua):
    """The package for this Lua."""
    needs("cpack", "dpkg-deb", "dpkg-shlibdeps", "file")
    said = call(os.path.join(SOURCE, "scripts/debs"), lua, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
    [path] = re.findall(rf"^(build/deb/moonlet{lua}_.*[.]deb)$", said, re.MULTILINE)
    return pathlib.Path(SOURCE, path)


def field(deb, name):
    return call("dpkg-deb", "-f", deb, name).strip()


class Root:
    """A directory in which Debian packages are installed, with their scripts, as in a system of its own. fakeroot
    makes that possible for any user."""

    def __init__(self, directory):
        self.path = directory / "root"
        for name in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/alternatives", "etc/alternatives",
                     "usr/bin", "usr/share/man/man1", "var/log"):
            (self.path / name).mkdir(parents=True)
        (self.path / "var/lib/dpkg/status").touch()

    def dpkg(self, *arguments):
        return call("fakeroot", "dpkg", f"--root={self.path}", "--force-not-root", "--force-script-chrootless",
                    f"--log={self.path}/var/log/dpkg.log", *arguments, stdin=subprocess.DEVNULL)

    def files(self):
        """All that is there, but for dpkg's own notes."""
        there = {os.path.join(top, name) for top, _, names in os.walk(self.path) for name in names}
        return {name for name in there if f"{self.path}/var/log/" not in name
                and not re.match(rf"{self.path}/var/lib/dpkg/(status|available|lock|diversions|statoverride|info/|updates|triggers/)",
                                 name)}

    def alternatives(self, name="lua-interpreter"):
        """What can be lua: {program: priority}, and the program that it is."""
        text = call("update-alternatives", "--root", self.path, "--query", name)
        candidates = dict(re.findall(r"^Alternative: (.*)\nPriority: (.*)$", text, re.MULTILINE))
        return candidates, re.search("^Value: (.*)$", text, re.MULTILINE).group(1)

    def enabled(self):
        """What systemctl says of each unit, as a unit of the system and as one of users."""
        return {call("systemctl", f"--root={self.path}", *scope, "is-enabled", unit, status=1).strip()
                for unit in UNITS for scope in ((), ("--global",))}


@pytest.fixture
def root(tmp_path, deb):
    """A root with what the package depends on: stand-ins by name and version, and a lua5.4 that registers itself
    as Debian's does."""
    needs("fakeroot", "update-alternatives", "systemctl")
    root = Root(tmp_path)
    postinst = "/var/lib/dpkg/info/lua5.4.postinst"
    if not os.path.exists(postinst):
        pytest.skip("NOT INSTALLED: Debian's lua5.4")
    made = []
    for name in re.findall(r"(?:^|, )([^ ,]+)", field(deb, "Depends")):
        tree = tmp_path / name
        (tree / "DEBIAN").mkdir(parents=True)
        installed = call("dpkg-query", "-W", "-f", "${Version}", name)
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {installed}\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n"
            "Description: stand-in\n")
        if name == "lua5.4":
            shutil.copy(postinst, tree / "DEBIAN/postinst")
            for file in ("usr/bin/lua5.4", "usr/bin/luac5.4", "usr/share/man/man1/lua5.4.1.gz",
                         "usr/share/man/man1/luac5.4.1.gz"):
                (tree / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(f"/{file}", tree / file)
        made.append(tmp_path / f"{name}.deb")
        call("fakeroot", "dpkg-deb", "--build", tree, made[-1])
    root.dpkg("--install", *made)
    return root


def test_lintian_has_no_complaint_about_the_deb(deb):
    needs("lintian")
    call("lintian", "--allow-root", "--fail-on", "error,warning", deb)


def test_the_deb_is_the_same_each_time(deb):
    first = deb.read_bytes()
    assert make_deb("5.4").read_bytes() == first


def test_the_deb_says_what_it_is_and_needs(deb):
    assert field(deb, "Package") == "moonlet5.4"
    assert field(deb, "Version") == f"{version()}-1"
    # The fallback; and what dpkg-shlibdeps finds.
    assert re.fullmatch(r"lua5\.4, libc6 \(>= .*\), liblua5\.4-0 \(>= .*\)", field(deb, "Depends"))
    changelog = open(os.path.join(PACKAGING, "deb/changelog")).readline()
    assert changelog.startswith(f"moonlet@MOONLET_SUFFIX@ ({version()}-1) "), changelog


def test_the_deb_installs_and_runs(deb, root, tmp_path):
    root.dpkg("--install", deb)
    assert hello(f"{root.path}/usr/bin/moonletctl5.4", f"{root.path}/usr/bin/moonletd5.4", tmp_path) == "Lua 5.4"
    assert frozen_hello(f"{root.path}/usr/bin/moonlet5.4", tmp_path) == "Lua 5.4"
    module = environment(LUA_CPATH=f"{root.path}/usr/lib/lua/5.4/?.so")  # where Debian's lua5.4 looks
    assert run(REAL_LUA, ["lua", "-e", "print(require 'moonlet'.warm)"], module).out == b"false\n"


def test_the_deb_has_each_program_and_what_its_manual_pages_name(deb, root):
    root.dpkg("--install", deb)
    for program in ("moonlet", "moonletd", "moonletctl", "moonlet-bench"):
        assert os.access(root.path / f"usr/bin/{program}5.4", os.X_OK)
    assert os.access(root.path / "usr/lib/moonlet/5.4/moonlet-lua", os.X_OK)
    for name in ("README.md", "README.Debian", "docs/deployment.md", "docs/design.md", "docs/image.md", "docs/lua-api.md",
                 "docs/protocol.md", "docs/security.md", "examples/parallel.lua"):
        assert (root.path / "usr/share/doc/moonlet5.4" / name).is_file(), name


def test_links_of_the_deb_s_documents_lead_somewhere(deb, root):
    root.dpkg("--install", deb)
    found = 0
    for page in (root.path / "usr/share/doc/moonlet5.4").rglob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
            found += 1
    assert found > 40


def test_the_units_of_the_deb_start_its_own_programs(deb, root):
    """On a socket of their own, with a warm-up of their own."""
    root.dpkg("--install", deb)
    for scope in ("system", "user"):
        units = root.path / "usr/lib/systemd" / scope
        assert "ExecStart=/usr/bin/moonletd5.4 " in (units / "moonletd5.4.service").read_text()
        assert "/moonlet5.4.sock\n" in (units / "moonletd5.4.socket").read_text()
    assert "/etc/moonletd5.4.lua\n" in (root.path / "usr/lib/systemd/system/moonletd5.4.service").read_text()


@pytest.fixture
def both_debs(deb):
    return [deb, make_deb("5.1")]


def test_debs_of_two_luas_are_installed_side_by_side(both_debs, root, tmp_path):
    root.dpkg("--force-depends", "--install", *both_debs)
    for lua in ("5.4", "5.1"):
        (tmp_path / lua).mkdir()
        programs = [f"{root.path}/usr/bin/{name}{lua}" for name in ("moonletctl", "moonletd")]
        assert hello(*programs, tmp_path / lua) == f"Lua {lua}"
        assert frozen_hello(f"{root.path}/usr/bin/moonlet{lua}", tmp_path / lua) == f"Lua {lua}"
    # An image knows its Lua.
    image = environment(MOONLET_IMAGE=f"{tmp_path}/5.4/hello.image")
    result = run(f"{root.path}/usr/bin/moonlet5.1", ["lua", "-e", "io.write(said)"], image)
    assert result.status == 125 and b"is of another Lua" in result.err, result


def test_which_of_two_debs_is_moonlet_is_an_alternative(both_debs, root):
    root.dpkg("--force-depends", "--install", *both_debs)
    assert root.alternatives("moonlet") == ({"/usr/bin/moonlet5.4": "54", "/usr/bin/moonlet5.1": "51"}, "/usr/bin/moonlet5.4")
    of_moonlet = ("usr/bin/moonlet", "usr/bin/moonletctl", "usr/bin/moonletd", "usr/bin/moonlet-bench", "usr/share/man/man1/moonlet.1.gz",
                  "usr/share/man/man8/moonletd.8.gz", "usr/share/bash-completion/completions/moonlet",
                  "usr/share/fish/vendor_completions.d/moonletctl.fish")
    for lua in ("5.4", "5.1"):
        for name in of_moonlet:
            link = os.readlink(str(root.path) + os.readlink(root.path / name).removeprefix(str(root.path)))
            assert lua in os.path.basename(link) and os.path.lexists(str(root.path) + link.removeprefix(str(root.path))), (name, link)
        root.dpkg("--remove", f"moonlet{lua}")
    assert not any(os.path.lexists(root.path / name) for name in of_moonlet)


def test_the_deb_of_luajit_has_no_file_of_lua_5_1(tmp_path):
    """They look for C modules in the same directories."""
    if shutil.which("luajit") is None:
        pytest.skip("NOT INSTALLED: luajit")
    listed = call("dpkg-deb", "--contents", make_deb("jit"))
    assert "./usr/bin/moonletjit" in listed and "/lua/5.1/" not in listed


def test_the_deb_has_completions_where_shells_of_debian_look(deb, root):
    root.dpkg("--install", deb)
    for program in ("moonlet", "moonletd", "moonletctl", "moonlet-bench"):
        for name in (f"bash-completion/completions/{program}", f"fish/vendor_completions.d/{program}.fish"):
            assert os.path.islink(root.path / "usr/share" / name), name  # an alternative
        for name in (f"bash-completion/completions/{program}5.4", f"fish/vendor_completions.d/{program}5.4.fish"):
            assert (root.path / "usr/share" / name).is_file(), name
    assert (root.path / "usr/share/zsh/vendor-completions/_moonlet5.4").is_file()
    assert not (root.path / "usr/share/zsh/site-functions").exists()


def test_the_deb_enables_nothing(deb, root):
    root.dpkg("--install", deb)
    assert root.enabled() == {"disabled"}
    assert not (root.path / "etc/systemd").exists()


def test_the_deb_offers_moonlet_as_lua_but_does_not_make_it_so(deb, root):
    root.dpkg("--install", deb)
    candidates, chosen = root.alternatives()
    assert candidates == {"/usr/bin/lua5.4": "20", "/usr/bin/moonlet5.4": "10"}
    assert chosen == "/usr/bin/lua5.4"


@pytest.fixture
def as_lua(tmp_path):
    """as_lua(fallback): moonlet under the name of lua, as an alternative makes it, where moonletd does not run."""
    (tmp_path / "lua").symlink_to(MOONLET)
    (tmp_path / "lua5.4").symlink_to(REAL_LUA)
    return lambda fallback: run(
        str(tmp_path / "lua"), ["lua", "-e", "io.write(_VERSION)"],
        environment(PATH=str(tmp_path), MOONLET_FALLBACK=fallback, MOONLET_SOCKET=str(tmp_path / "nobody.sock")))


def test_moonlet_as_lua_falls_back_to_the_real_one(as_lua):
    result = as_lua(None)
    assert (result.status, result.out) == (0, b"Lua 5.4"), result


def test_moonlet_as_lua_never_falls_back_to_itself(as_lua):
    result = as_lua("lua")
    assert result.status == 125 and b"it is moonlet itself" in result.err, result


@pytest.fixture
def systemd_hears(deb, tmp_path):
    """systemd_hears(script, argument...): what a script of the package tells systemd, where that runs; with
    stand-ins for the programs that would tell it."""
    needs("unshare")
    inside = 'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec "$@"'
    outside = ["unshare", "--map-root-user", "--mount", "sh", "-c", inside, "sh"]
    if subprocess.run([*outside, "true"], capture_output=True).returncode != 0:
        pytest.skip("NO NAMESPACES: unshare --map-root-user --mount")
    for name in ("deb-systemd-helper", "deb-systemd-invoke", "systemctl", "update-alternatives"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/heard\n')
        (tmp_path / name).chmod(0o755)

    call("dpkg-deb", "--control", deb, tmp_path / "control")

    def hears(script, *arguments):
        call(*outside, tmp_path / "control" / script, *arguments,
             env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "DPKG_ROOT": ""})
        heard = (tmp_path / "heard").read_text().splitlines()
        (tmp_path / "heard").unlink()
        return [line for line in heard if line.startswith(("deb-systemd-invoke", "systemctl"))]

    return hears


def test_an_installation_of_the_deb_starts_nothing(systemd_hears):
    assert systemd_hears("postinst", "configure", "") == ["systemctl --system daemon-reload"]


def test_an_upgrade_of_the_deb_restarts_a_moonletd_that_runs(systemd_hears):
    assert systemd_hears("postinst", "configure", "0.0.1-1") == [
        "systemctl --system daemon-reload", "deb-systemd-invoke try-restart moonletd5.4.service"]


def test_a_removal_of_the_deb_stops_moonletd(systemd_hears):
    assert systemd_hears("prerm", "remove") == ["deb-systemd-invoke stop moonletd5.4.socket moonletd5.4.service"]


def test_a_purge_of_the_deb_leaves_nothing_behind(deb, root):
    before = root.files()
    root.dpkg("--install", deb)
    assert root.files() != before
    # What an administrator did with it goes too.
    call("systemctl", f"--root={root.path}", "enable", "moonletd5.4.socket")
    call("update-alternatives", "--root", root.path, "--set", "lua-interpreter", "/usr/bin/moonlet5.4")
    assert root.alternatives()[1] == "/usr/bin/moonlet5.4"
    root.dpkg("--purge", "moonlet5.4")
    assert root.files() == before
    assert root.alternatives() == ({"/usr/bin/lua5.4": "20"}, "/usr/bin/lua5.4")


def test_the_deb_installs_over_itself_and_keeps_the_warm_up(deb, root):
    root.dpkg("--install", deb)
    warm_up = root.path / "etc/moonletd5.4.lua"
    warm_up.write_text("-- mine\n")
    root.dpkg("--install", deb)
    assert warm_up.read_text() == "-- mine\n"
    root.dpkg("--remove", "moonlet5.4")
    assert warm_up.exists()  # goes with a purge


def test_a_removal_of_the_deb_takes_the_image_of_moonletd_along(deb, root):
    root.dpkg("--install", deb)
    (root.path / "run").mkdir()
    (root.path / "run/moonlet5.4.image").touch()
    root.dpkg("--install", deb)
    assert (root.path / "run/moonlet5.4.image").exists()
    root.dpkg("--remove", "moonlet5.4")
    assert not (root.path / "run/moonlet5.4.image").exists()


# OpenWrt


def feed(target, work, cmake_options=""):
    return call("make", "-s", "-C", os.path.join(PACKAGING, "openwrt"), f"TOPDIR={STUBS}/openwrt", f"WORK={work}", target,
                env={**os.environ, "CMAKE_OPTIONS": cmake_options})


def test_the_openwrt_packages_say_what_they_are_and_need(tmp_path):
    needs("make")
    packages = dict(line.split("|", 1) for line in feed("describe", tmp_path).splitlines())
    assert {name: rest.split("|")[0] for name, rest in packages.items()} == dict.fromkeys(
        ("moonlet", "moonletd", "moonlet-image", "lua-moonlet"), version())
    assert packages["moonlet"].split("|")[2] == "+lua5.3 +liblua5.3"  # the fallback, and what moonlet-lua is linked with
    assert packages["moonletd"].split("|")[2] == packages["moonlet-image"].split("|")[2] == "+moonlet"
    assert packages["moonletd"].split("|")[5] == "/etc/config/moonletd /etc/moonletd.lua"


def test_the_openwrt_packages_build_and_run(lua_5_3, tmp_path):
    needs("make")
    feed("packages", lua_5_3.parent.parent)
    made = lua_5_3.parent.parent / "packages"
    modes = {str(path.relative_to(made)): path.stat().st_mode & 0o777 for path in made.rglob("*") if path.is_file()}
    assert modes == {
        "moonlet/usr/bin/moonlet": 0o755,
        "moonlet/usr/bin/moonlet-lua": 0o755,
        "moonletd/usr/bin/moonletctl": 0o755,
        "moonletd/usr/bin/moonletd": 0o755,
        "lua-moonlet/usr/lib/lua/5.3/moonlet.so": 0o755,
        "moonlet-image/etc/init.d/moonlet": 0o755,
        "moonlet-image/etc/moonlet.lua": 0o644,
        "moonletd/etc/init.d/moonletd": 0o755,
        "moonletd/etc/config/moonletd": 0o600,
        "moonletd/etc/moonletd.lua": 0o644,
    }
    assert "statically linked" in call("file", made / "moonlet/usr/bin/moonlet")
    installed = tmp_path / "installed"
    for package in ("moonlet", "moonletd"):  # which depends on the first
        shutil.copytree(made / package, installed, dirs_exist_ok=True)
    assert hello(installed / "usr/bin/moonletctl", installed / "usr/bin/moonletd", tmp_path) == "Lua 5.3"
    assert frozen_hello(made / "moonlet/usr/bin/moonlet", tmp_path) == "Lua 5.3"


def test_the_openwrt_packages_build_for_a_router(tmp_path):
    """With what the preset mipsel-musl is built with, in place of OpenWrt's own compiler."""
    needs("make", "mipsel-linux-gnu-g++")
    sysroot = os.path.join(SOURCE, "build", "sysroot", "mipsel")
    if not os.path.exists(f"{sysroot}/lib/musl-gcc.specs"):
        pytest.skip("NO MUSL FOR MIPSEL: scripts/sysroot mipsel")
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "usr").symlink_to(sysroot)
    flags = f"-specs={sysroot}/lib/musl-gcc.specs -march=24kc -mips16 -minterlink-mips16 -fno-pie"
    feed("packages", tmp_path, " ".join([
        "-DCMAKE_SYSTEM_PROCESSOR=mipsel", "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
        "-DCMAKE_C_COMPILER=mipsel-linux-gnu-gcc", "-DCMAKE_CXX_COMPILER=mipsel-linux-gnu-g++",
        f"'-DCMAKE_C_FLAGS={flags}'", f"'-DCMAKE_CXX_FLAGS={flags}'", "-DCMAKE_EXE_LINKER_FLAGS=-no-pie"]))
    kind = "ELF 32-bit LSB executable, MIPS"
    assert re.search(f"{kind}.* statically linked", call("file", tmp_path / "packages/moonlet/usr/bin/moonlet"))
    for program in ("moonlet/usr/bin/moonlet-lua", "moonletd/usr/bin/moonletd"):
        assert re.search(f"{kind}.* /lib/ld-musl-mipsel.so.1", call("file", tmp_path / "packages" / program))


# Nix and Liminix


@pytest.fixture
def nix(tmp_path):
    """nix(expression): its value. `pkgs` is a stand-in for nixpkgs with Liminix and moonlet's overlay, `service`
    builds a moonletd and `image` a moonlet-image, `plain` is a nixpkgs with neither musl nor Liminix."""
    needs("nix-instantiate")
    scope = f"""
        overlays = [ (import {PACKAGING}/nix/overlay.nix) ];
        pkgs = import {STUBS}/nix/nixpkgs.nix {{ inherit overlays; }};
        plain = import {STUBS}/nix/nixpkgs.nix {{ inherit overlays; isMusl = false; isLiminix = false; }};
        service = arguments: import {STUBS}/nix/service.nix {{ inherit pkgs arguments; }};
        image = arguments: import {STUBS}/nix/service.nix {{ inherit pkgs arguments; name = "moonlet-image"; }};
    """

    def evaluate(expression, *options, status=0):
        options = options or ("--store", "dummy://")
        text = call("nix-instantiate", *options, "--eval", "--strict", "--json", "-E", f"let {scope} in {expression}",
                    status=status, env={**os.environ, "HOME": str(tmp_path)})
        return json.loads(text) if status == 0 else None

    return evaluate


def installed(tmp_path):
    """Where a package of Nix would have put the programs."""
    (tmp_path / "installed" / "bin").mkdir(parents=True)
    for program in (MOONLET, MOONLETD):
        (tmp_path / "installed" / "bin" / os.path.basename(program)).symlink_to(program)
    return tmp_path / "installed"


@pytest.mark.parametrize("path", glob.glob(os.path.join(PACKAGING, "nix", "**", "*.nix"), recursive=True),
                         ids=lambda path: os.path.relpath(path, PACKAGING))
def test_nix_files_parse(path, tmp_path):
    needs("nix-instantiate")
    call("nix-instantiate", "--store", "dummy://", "--parse", path, env={**os.environ, "HOME": str(tmp_path)})


def test_the_nix_package_says_what_it_is_and_needs(nix):
    package = nix("with pkgs.moonlet; { inherit pname version cmakeFlags; needs = map (p: p.name) (nativeBuildInputs ++ buildInputs); }")
    assert (package["pname"], package["version"]) == ("moonlet", version())
    assert package["needs"] == ["cmake", "ninja", "lua"]
    # Liminix has musl: the client is linked against that, statically, and falls back to Liminix's lua.
    assert "-DMOONLET_MUSL=ON" in package["cmakeFlags"]
    assert "-DMOONLET_LUA=5.3" in package["cmakeFlags"]
    assert "-DMOONLET_FALLBACK_NAME=/nix/store/lua-musl/bin/lua" in package["cmakeFlags"]


def test_the_nix_package_takes_its_client_from_musl_where_the_system_has_another_libc(nix):
    package = nix("{ inherit (plain.moonlet) cmakeFlags postInstall; client = plain.pkgsMusl.moonlet.cmakeFlags; }")
    assert "-DMOONLET_LUA=5.3" in package["cmakeFlags"]
    assert "-DMOONLET_FALLBACK_NAME=/nix/store/lua5_3/bin/lua" in package["cmakeFlags"]
    assert "cp -f /nix/store/moonlet-musl/bin/moonlet $out/bin/moonlet" in package["postInstall"]


def test_the_nix_package_has_all_sources_and_builds(nix, lua_5_3, tmp_path):
    store = tmp_path / "store"
    package = nix("{ inherit (pkgs.moonlet) src cmakeFlags; }", "--read-write-mode", "--store", store)
    flags = [flag.replace("/nix/store/lua-musl", str(lua_5_3)) for flag in package["cmakeFlags"]]
    assert not os.path.exists(f"{store}{package['src']}/tests")
    call("cmake", "-S", f"{store}{package['src']}", "-B", tmp_path / "build", "-G", "Ninja", *flags)
    call("cmake", "--build", tmp_path / "build")
    call("cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "out")
    assert hello(tmp_path / "out/bin/moonletctl", tmp_path / "out/bin/moonletd", tmp_path) == "Lua 5.3"
    assert frozen_hello(tmp_path / "out/bin/moonlet", tmp_path) == "Lua 5.3"
    assert os.access(tmp_path / "out/bin/moonletctl", os.X_OK)
    fallback = run(tmp_path / "out/bin/moonlet", ["lua", "-e", ""], environment(MOONLET_FALLBACK=None, MOONLET_SOCKET="/nonexistent"))
    assert f"{lua_5_3}/bin/lua".encode() in fallback.err


def fennel_script(nix, tmp_path, function):
    """A script that `function` makes, built as Nix would build it; fennel itself is not in Debian 12."""
    prefix = installed(tmp_path)
    (tmp_path / "fennel").write_text('#!/bin/sh\ncat "$2"\n')
    (tmp_path / "fennel").chmod(0o755)
    (tmp_path / "source").write_text('return {run = function() io.write("ran by ", arg[0], warm or "") end}')
    made = nix(f'with pkgs.{function} "script" {{ mainFunction = "run"; }} "source"; {{ inherit buildPhase installPhase; }}')
    phases = (made["buildPhase"] + made["installPhase"]).replace("/nix/store/moonlet-musl", str(prefix))
    call("bash", "-euc", phases, cwd=tmp_path, env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "out": str(tmp_path / "out")})
    return tmp_path / "out", prefix


def test_fennel_scripts_of_liminix_start_with_moonlet(nix, tmp_path):
    script, prefix = fennel_script(nix, tmp_path, "writeFennel")
    assert script.read_text().startswith(f"#!{prefix}/bin/moonlet -e dofile(arg[0]).run()\n")
    image = Image(tmp_path, "-e", "warm = ' in an image'")
    done = run(str(script), [str(script)], environment(MOONLET_IMAGE=image.path))
    assert (done.status, done.out.decode()) == (0, f"ran by {script} in an image"), done


def test_a_fennel_script_of_liminix_can_stay_with_lua(nix, tmp_path):
    script, _ = fennel_script(nix, tmp_path, "writeFennelForLua")
    assert script.read_text().startswith("#!/nix/store/lua-musl/bin/lua -e dofile(arg[0]).run()\n")


def test_without_liminix_the_overlay_adds_moonlet_alone(nix):
    assert nix("{ moonlet = plain ? moonlet; fennel = plain ? writeFennel; }") == {"moonlet": True, "fennel": False}


def service_run(nix, arguments):
    """The command of the service, and the text of its warm-up."""
    made = nix(f"with service {arguments}; {{ inherit name serviceType notification-fd run; }}")
    assert (made["name"], made["serviceType"], made["notification-fd"]) == ("moonletd", "longrun", 10)
    command, text = re.fullmatch(r"(.*) <<<(.*)>>>\n", made["run"], re.DOTALL).groups()
    return command, text


def test_the_service_of_liminix_calls_moonletd_with_its_options(nix):
    command, _ = service_run(nix, '{ socket = "/run/my lua.sock"; mode = "0666"; max = 8; }')
    assert shlex.split(command) == [
        "exec", "/nix/store/moonlet-musl/bin/moonletd", "--ready-fd", "10", "--socket", "/run/my lua.sock", "--mode", "0666",
        "--max", "8"]


def test_the_service_of_liminix_warms_modules_where_its_packages_have_them(nix):
    _, text = service_run(nix, '{ packages = [ pkgs.lua ]; modules = [ "anoia" "anoia.fs" ]; warmUp = "x = 1"; }')
    share = "/nix/store/lua-musl/share/lua/5.3"
    assert text.splitlines() == [
        f'package.path = "{share}/?.lua;{share}/?/init.lua;" .. package.path',
        'package.cpath = "/nix/store/lua-musl/lib/lua/5.3/?.so;" .. package.cpath',
        'require "anoia"', 'require "anoia.fs"', "x = 1"]


@pytest.mark.parametrize("wrong", ['{ mode = "rw-------"; }', "{ max = 0; }", "{ spare = 1; }", '{ socket = "moonlet.sock"; }', '{ modules = "anoia"; }', "{ port = 80; }"])
def test_the_service_of_liminix_refuses_what_moonletd_would(nix, wrong):
    nix(f"(service {wrong}).run", status=1)


def test_the_service_of_liminix_serves_and_says_so(nix, tmp_path):
    prefix = installed(tmp_path)
    socket = tmp_path / "moonlet.sock"
    command, text = service_run(nix, f'{{ socket = "{socket}"; warmUp = "warm = 5"; }}')
    (tmp_path / "moonletd.lua").write_text(text)
    command = f"{command.replace('/nix/store/moonlet-musl', str(prefix))} {tmp_path}/moonletd.lua"
    with serving(lambda told: ["bash", "-c", f"exec 10>&{told} {told}>&-\n{command}"]):
        result = run(MOONLETCTL, ["moonletctl", "run", "-e", "print(warm)"], environment(MOONLET_SOCKET=str(socket)))
    assert result.out == b"5\n", result


def test_the_image_of_liminix_is_made_at_boot_and_gone_when_the_service_stops(nix, tmp_path):
    prefix, image = installed(tmp_path), tmp_path / "some image"
    arguments = f'{{ packages = [ pkgs.lua ]; warmUp = "warm = 5"; image = "{image}"; }}'
    made = nix(f'with image {arguments}; {{ inherit name serviceType up down; }}')
    assert (made["name"], made["serviceType"]) == ("moonlet-image", "oneshot")
    up, text = re.fullmatch(r"(.*) <<<(.*)>>>\n", made["up"], re.DOTALL).groups()
    (tmp_path / "moonlet.lua").write_text(text)
    call("sh", "-euc", f"{up.replace('/nix/store/moonlet-musl', str(prefix))} {tmp_path}/moonlet.lua", env=environment())
    done = run(prefix / "bin/moonlet", ["lua", "-e", "print(warm)"], environment(MOONLET_IMAGE=str(image)))
    assert done.out == b"5\n", done
    call("sh", "-euc", made["down"])
    assert not image.exists()


@pytest.mark.parametrize("script", ["deb/postinst", "deb/prerm", "deb/postrm"])
def test_scripts_of_packages_pass_shellcheck(script):
    needs("shellcheck")
    call("shellcheck", os.path.join(PACKAGING, script))
