"""Many machines: what spreads jobs over them starts moonlet as it would start lua. See docs/deployment.md."""

import os
import shlex

import pytest
from conftest import (BY_LUA, BY_MOONLET, MOONLETD, REAL_LUA, SERVED, THAWED, World, environment, needs_program, needs_root, run)

MEGABYTE = 1 << 20

HOSTS = {"a": "192.0.2.1", "b": "192.0.2.5"}  # addresses that are nobody's, each the first of two

HOST = """
    hostname $1
    mount -t tmpfs -o mode=755 tmpfs /run
    # Who logs in is a root that is not locked out, as one without a password may be, and whose shell reads no files.
    mkdir -p /run/home/.ssh
    cp {directory}/user_key.pub /run/home/.ssh/authorized_keys
    (umask 077 && echo 'root:*:1::::::' >/run/shadow)
    sed 's,^root:.*,root:x:0:0::/run/home:/bin/sh,' /etc/passwd >/run/passwd
    mount --bind /run/shadow /etc/shadow
    mount --bind /run/passwd /etc/passwd
    ip link set lo up
    ip address add $2/30 dev eth0
    ip link set eth0 up
    mkfifo /run/ready
    exec 8<>/run/ready
    env -u LUA_CPATH {moonletd} --ready-fd 8 -e "host = '$1'" &
    read -r _ <&8
    dropbear -E -s -r {directory}/host_key -p $2:22 -P /run/dropbear.pid
    echo >{directory}/up
    wait
"""

SSH = """
    IdentityFile {directory}/user_key
    UserKnownHostsFile {directory}/known_hosts
    GlobalKnownHostsFile /dev/null
    BatchMode yes
    Host a
        HostName 192.0.2.1
    Host b
        HostName 192.0.2.5
"""


@pytest.fixture
def two_hosts(open_directory):
    """Two machines with an ssh server and a moonletd each, and a third that reaches both: network namespaces, so that no
    packet leaves them, which are gone with the init of the third."""
    directory = open_directory
    run("ssh-keygen", ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{directory}/user_key"], environment())
    made = run("dropbearkey", ["dropbearkey", "-t", "ed25519", "-f", f"{directory}/host_key"], environment())
    host_key, = [line for line in made.out.decode().splitlines() if line.startswith("ssh-ed25519 ")]
    (directory / "known_hosts").write_text("".join(f"{address} {host_key}\n" for address in HOSTS.values()))
    (directory / "ssh_config").write_text(SSH.format(directory=directory))
    (directory / "host").write_text(HOST.format(directory=directory, moonletd=MOONLETD))
    steps = [f"mkfifo {directory}/up", f"exec 8<>{directory}/up", "ip link set lo up"]
    for name, address in HOSTS.items():
        peer = address[:-1] + str(int(address[-1]) + 1)
        steps += [f"ip netns add {name}",
                  f"ip link add to-{name} type veth peer name eth0 netns {name}",
                  f"ip address add {peer}/30 dev to-{name}",
                  f"ip link set to-{name} up",
                  f"ip netns exec {name} unshare --mount --uts bash -eu {directory}/host {name} {address} &",
                  "read -r _ <&8"]
    world = World(*steps, "sleep infinity 8<&-", network=True, log=directory / "log",
                  env=environment(PARALLEL_HOME=str(directory / "parallel"), HOME=str(directory),
                                  PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))
    world.directory = directory
    yield world
    world.end()


def parallel(world, program, script, jobs, *options):
    ssh = f"ssh -F {world.directory}/ssh_config"
    (world.directory / "script.lua").write_text(script)
    command = shlex.join(["env", "MOONLET_FALLBACK=", *program.words, str(world.directory / "script.lua")])
    return world.run("parallel", "--will-cite", "--ssh", ssh, "--sshlogin", "a,b", "--jobs", "2", *options, command,
                     ":::", *map(str, jobs))


def on_two_hosts(test):
    for mark in (needs_program("parallel", "parallel"), needs_program("dropbear", "dropbear-bin"),
                 needs_program("ip", "iproute2"), needs_root):
        test = mark(test)
    return test


@on_two_hosts
def test_parallel_gets_the_same_from_two_hosts_as_with_lua(two_hosts):
    """Output in the order of the jobs, what is written to standard error, and how many failed."""
    script = """
        local job = tonumber(arg[1])
        print(job, job * job)
        if job % 4 == 0 then error('job ' .. job .. ' fails', 0) end
    """
    lua, moonlet = [parallel(two_hosts, program, script, range(1, 13), "--keep-order")
                    for program in (BY_LUA, BY_MOONLET)]
    for result in (lua, moonlet):
        # The name before an error is the program's; and what two hosts write at once comes in any order.
        result.err = sorted(result.err.replace(REAL_LUA.encode(), os.path.basename(REAL_LUA).encode()).splitlines())
    assert lua.status == 3 and lua.out.count(b"\n") == 12
    assert moonlet == lua


@on_two_hosts
def test_each_job_is_served_by_the_zygote_of_its_own_host(two_hosts):
    script = "print(host, io.popen('hostname'):read())"
    result = parallel(two_hosts, BY_MOONLET, script, range(12))
    lines = result.out.decode().splitlines()
    assert result.status == 0 and len(lines) == 12, f"{result!r}\n{two_hosts.log()}"
    assert set(lines) == {"a\ta", "b\tb"}


class Group:
    """A cgroup for a job, in the hierarchy of this machine that limits memory, whichever version that is."""

    LIMITS = {"memory.max": "memory.swap.max", "memory.limit_in_bytes": "memory.memsw.limit_in_bytes"}

    def __init__(self, limit):
        self.path = None
        with open("/proc/self/mountinfo") as mounts:
            fields = [line.split() for line in mounts]
        tops = [line[4] for line in fields if line[line.index("-") + 1] == "cgroup2" or "memory" in line[-1].split(",")]
        for top in sorted(tops):
            path = os.path.join(top, f"moonlet-test-{os.getpid()}")
            try:
                os.mkdir(path)
            except OSError:  # read-only, as in a container
                continue
            for name, of_swap in self.LIMITS.items():
                if os.path.exists(os.path.join(path, name)):
                    self.path = path
                    self.write(name, limit)
                    if os.path.exists(os.path.join(path, of_swap)):
                        self.write(of_swap, 0 if name == "memory.max" else limit)
                    return
            os.rmdir(path)
        pytest.skip("NO CGROUP LIMITS MEMORY HERE: this root may make none")

    def write(self, name, value):
        with open(os.path.join(self.path, name), "w") as file:
            file.write(str(value))

    def run(self, program, env, *arguments):
        def enter():
            self.write("cgroup.procs", 0)
        return run(program, ["lua", *arguments], env, preexec_fn=enter)


@pytest.fixture
def group():
    made = Group(64 * MEGABYTE)
    yield made
    os.rmdir(made.path)


@needs_root
def test_the_memory_of_a_job_is_limited_for_its_scripts(group, start_moonletd):
    """As Slurm and containers limit it. A thawed script is in the job; one that moonletd forks is in moonletd's group."""
    moonletd = start_moonletd("-e", "warm = ('x'):rep(5000000)")
    env = environment(MOONLET_SOCKET=moonletd.socket)
    thawing = {name: value for name, value in env.items() if name != "MOONLET_IMAGE"}
    takes = "local t = {} for i = 1, %d do t[i] = ('y'):rep(1000000) .. i end print(warm and 'warm')"
    for program, its_env, warm in ((BY_LUA, env, b"nil\n"), (THAWED, thawing, b"warm\n")):
        done = group.run(program, its_env, "-e", takes % 10)
        assert (done.status, done.out, done.err) == (0, warm, b""), done
        done = group.run(program, its_env, "-e", takes % 200)
        assert (done.status, done.out) == (-9, b""), done
    assert group.run(SERVED, env, "-e", takes % 200).out == b"warm\n"
