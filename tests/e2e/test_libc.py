"""libc, and C++'s library, go on working in a thawed process: each check of libc_probe and libcxx_probe, under lua and thawed.

Each is run three times: the script loads the module; the warm-up has loaded it; the warm-up has run the check too, and the script
runs it again, with what the first run left in libc."""

import atexit
import os
import pty
import resource
import select
import shutil
import signal
import subprocess
import tempfile

import pytest
from conftest import BUILD, LUA, MOONLET, MUSL, PATIENCE, SANITIZED, Image, Pair, Result, both, environment, needs_root, run, without_addresses

MODULES = os.path.join(BUILD, "modules")
LOADED, USED = "loaded", "used"
LARGE_FILE = os.path.join(tempfile.mkdtemp(prefix="moonlet-test-"), "file")
with open(LARGE_FILE, "wb") as large_file:
    large_file.write(bytes(range(33, 97)) * 1000)
atexit.register(shutil.rmtree, os.path.dirname(LARGE_FILE))

# What holds, and the check that shows it. The last word of some is an argument.
OF_C = {
    "each thread has variables of its own": "thread_local",
    "two hundred threads": "many_threads",
    "the main thread has the id of the process": "thread_ids",
    "a thread's signal reaches the main thread": "signal_to_main",
    "the main thread's scheduling, from another thread": "schedule",
    "the clocks of the main thread and of the process": "cpu_clocks",
    "values that belong to a thread": "thread_keys",
    "a thread is cancelled": "cancel",
    "all threads change their ids": "ids_of_all_threads",
    "a recursive mutex": "recursive_mutex",
    "an error-checking mutex": "checked_mutex",
    "a mutex that inherits priority": "inherited_priority",
    "a thread dies with a robust mutex": "robust_in_a_thread",
    "a process dies with a robust mutex": "robust_in_a_process",
    "condition variables": "conditions",
    "read-write locks": "read_write_locks",
    "fork, and fork in the child": "forks",
    "fork in a thread": "fork_of_a_thread",
    "pthread_atfork's handlers": "fork_handlers",
    "vfork": "vforks",
    "system": "commands",
    "popen": "pipes",
    "clone": "clones",
    "children are waited for": "children",
    "dlopen by name": "load_by_name",
    "dlopen of what nothing has loaded": "load_crypt",
    "dlopen by path, and dlclose": "load_plugin " + os.path.join(MODULES, "libc_plugin.so"),
    "dlopen by RUNPATH, and dlclose": "load_plugin libc_plugin.so",
    "a module's module stays loaded": "kept_plugin " + os.path.join(MODULES, "libc_plugin.so"),
    "dlsym and dladdr": "symbols",
    "dl_iterate_phdr": "objects",
    "dlmopen": "namespaces",
    "backtrace": "backtraces",
    "malloc of many sizes": "malloc_here",
    "malloc in threads": "malloc_in_threads",
    "calloc gives zeroes": "zeroes",
    "blocks of malloc are kept": "kept_blocks",
    "brk and sbrk, and malloc beside them": "move_break",
    "malloc_trim": "trim",
    "aligned blocks": "aligned",
    "mappings keep content and protection": f"mappings {LARGE_FILE}",
    "memory that nobody may touch for now": "closed_memory",
    "memory that is given back is zero": "returned_memory",
    "what is read-only stays so": "protected_parts",
    "qsort of a large array": "sort",
    "a signal stack": "signal_stack",
    "longjmp, also from a signal handler": "jumps",
    "ucontext": "contexts",
    "raise": "raises",
    "queues of signals": "queues",
    "interrupted calls": "interrupts",
    "what signals do": "dispositions",
    "a handler stays": "kept_handler",
    "deaths of children": "deaths_of_children",
    "a timer that sends a signal": "by_signal",
    "setitimer and alarm": "intervals",
    "timerfd": "descriptors",
    "clocks": "clocks",
    "sleeping": "sleeps",
    "a time zone of the script's own": "zone Europe/Berlin",
    "atexit": "at_exit",
    "at_quick_exit": "quick_exits",
    "streams of memory": "memory_streams",
    "temporary files": "temporary_files",
    "numbers in text and back": "numbers",
    "getopt": "options -a -x --file=3 --none rest -f",
    "messages under the program's name": "named_messages",
    "syslog": "log_messages",
    "setlocale": "locales",
    "a locale stays": "kept_locale",
    "iconv": "conversions",
    "users, by NSS": "users",
    "hosts, by NSS": "hosts",
    "patterns": "patterns",
    "the auxiliary vector": "auxiliary",
    "setenv and putenv": "variables",
    "sched_getcpu on each processor": "processors",
    "what the system says of itself": "system_facts",
}
# Asks /proc, or has a child that does: what it says of a process is no longer so in another one.
OF_ITSELF = {
    "the main thread's name, from another thread": "thread_names",
    "the stacks of threads": "thread_stacks",
    "the main thread's stack is where the kernel has it": "main_stack",
    "posix_spawn": "spawn",
    "a stack that grows to its limit": "deep_stack",
    "what the kernel says of the process": "process_facts",
}
if MUSL:  # which knows it without asking
    OF_C["the stacks of threads"] = OF_ITSELF.pop("the stacks of threads")
OF_CXX = {
    "exceptions": "exceptions",
    "exceptions from a module's module, and through it": "through_plugin " + os.path.join(MODULES, "libcxx_plugin.so"),
    "objects that belong to a thread": "thread_locals",
    "threads of C++": "threads",
    "streams of C++": "streams",
    "objects are kept, and destroyed at the end": "kept_objects",
}
# What cannot be done twice, or leaves what cannot be frozen.
AT_THE_END = {
    "a timer that starts a thread": "by_thread",  # the one that waits for timers stays
    "standard output in a pipe": "mixed",  # a freeze flushes it
    "the main thread exits, and another one returns": "exit_of_main return",
    "the main thread exits, and another one calls exit": "exit_of_main exit",
    "the main thread exits, and another one aborts": "exit_of_main abort",
    "the main thread is cancelled, and another one returns": "cancel_of_main return",
    "the main thread is cancelled, and another one calls exit": "cancel_of_main exit",
    "the main thread dies with a robust mutex": "robust_main",
    "quick_exit": "quick_exits 3",
    "a thread exits": "exit_of_a_thread 4",
    "_exit in a handler of exit": "exit_in_exit",
    "abort": "aborts plainly",
    "abort with a handler": "aborts handled",
    "abort that is ignored": "aborts ignored",
    "raise of SIGABRT": "aborts raised",
    "raise of SIGTERM": "raise_and_die 15",
    "raise of SIGKILL": "raise_and_die 9",
    "raise of a real-time signal": "raise_and_die 40",
    "an overflow of the stack": "overflow_here",
    "an overflow of the stack with a handler": "overflow_handled",
    "a smashed stack": "smashed_stack",
    "error(3) that exits": "error_and_exit",
    "a failed assertion": "assertion",
    "a fault in the heap": "heap_fault",
    "an empty environment": "clear",
}


def parameters(promises):
    return [pytest.param(check, id=promise) for promise, check in promises.items()]


def call_of(module, check):
    name, *arguments = check.split()
    return f"require '{module}'.{name}({', '.join(map(repr, arguments))})"


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def warm_up_of(module, check, stage):
    return {None: [], LOADED: ["-l", module], USED: ["-l", module, "-e", call_of(module, check)]}[stage]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """images(warm-up...): an image of it, made once."""
    made = {}

    def make(*warm_up):
        if warm_up not in made:
            made[warm_up] = Image(tmp_path_factory.mktemp("image"), *warm_up, preexec_fn=no_core)
        return made[warm_up]

    return make


def compare(images, tmp_path, module, check, stage, end="", **options):
    """Under lua the warm-up comes first, in the same process. What it wrote when it was frozen is the beginning of the output."""
    warm_up = warm_up_of(module, check, stage)
    script = tmp_path / "script.lua"
    script.write_text(f"io.write({call_of(module, check)}) {end}")
    image = images(*warm_up)
    (lua, env), (moonlet, its_env) = Pair(image).programs()
    options.setdefault("preexec_fn", no_core)
    expected = run(lua, ["lua", *warm_up, str(script)], env, **options)
    got = run(moonlet, ["lua", str(script)], its_env, **options)
    got = Result(got.status, image.warm_up.out + got.out, image.warm_up.err + got.err)
    assert without_addresses(got) == without_addresses(expected), f"moonlet: {got!r}\n\nlua: {expected!r}"
    return got


# LeakSanitizer and its like change what malloc, signals and stacks do.
not_sanitized = pytest.mark.skipif(SANITIZED, reason="SANITIZED: it is about the C library as it is")
pytestmark = not_sanitized
stages = pytest.mark.parametrize("stage", [pytest.param(None, id="in the script"), LOADED, USED])
early_stages = pytest.mark.parametrize("stage", [pytest.param(None, id="in the script"), LOADED])


@stages
@pytest.mark.parametrize("check", parameters(OF_C))
def test_libc(images, tmp_path, check, stage):
    assert compare(images, tmp_path, "libc_probe", check, stage).status == 0


@early_stages
@pytest.mark.parametrize("check", parameters(OF_ITSELF))
def test_what_libc_asks_of_the_process(images, tmp_path, check, stage):
    assert compare(images, tmp_path, "libc_probe", check, stage).status == 0


@pytest.mark.parametrize("check", parameters(OF_ITSELF))
def test_a_warm_up_that_asks_of_its_process_is_not_frozen(tmp_path, check):
    image = tmp_path / "image"
    result = run(MOONLET, ["lua", "--freeze", str(image), *warm_up_of("libc_probe", check, USED)], environment())
    assert result.status == 1 and b"moonlet: freeze: a file " in result.err and b"/proc/self" in result.err, result
    assert not image.exists()


@stages
@pytest.mark.parametrize("check", parameters(OF_CXX))
def test_libstdcxx(images, tmp_path, check, stage):
    assert compare(images, tmp_path, "libcxx_probe", check, stage).status == 0


@early_stages
@pytest.mark.parametrize("check", parameters(AT_THE_END))
def test_ends(images, tmp_path, check, stage):
    compare(images, tmp_path, "libc_probe", check, stage)


@early_stages
@pytest.mark.parametrize("how", ["here", "thread"])
def test_an_exception_that_nobody_catches(images, tmp_path, how, stage):
    assert compare(images, tmp_path, "libcxx_probe", f"not_caught {how}", stage).status == -signal.SIGABRT


@stages
@pytest.mark.parametrize("end", ["os.exit(3)", "os.exit(3, true)", "error('x')"])
@pytest.mark.parametrize("check", ["at_exit", "on_exits"])
def test_the_order_of_what_runs_at_the_end(images, tmp_path, check, end, stage):
    if check == "on_exits" and (end != "os.exit(3)" or stage == USED):
        pytest.skip("lua crashes at a normal end, as a rehearsal's is: it unloads the module before")
    compare(images, tmp_path, "libc_probe", check, stage, end)


@pytest.mark.parametrize("how", ["finalizer", "atexit"])
def test_what_the_warm_up_has_registered_for_the_end_runs_at_each_launch_s_end(freeze, tmp_path, how):
    """Once each, and not in the freeze: it may remove a file that the launches need."""
    noted = tmp_path / "noted"
    noted.touch()
    on_finalizer = f"""
        local function note() local file = io.open('{noted}', 'a') file:write('Lua ') file:close() end
        if newproxy then kept = newproxy(true) getmetatable(kept).__gc = note else kept = setmetatable({{}}, {{__gc = note}}) end
    """
    image = freeze("-e", on_finalizer if how == "finalizer" else call_of("libc_probe", f"note_at_exit {noted}"))
    assert noted.read_text() == ""
    _, (moonlet, env) = Pair(image).programs()
    for _ in range(2):
        assert run(moonlet, ["lua", "-e", "print('runs')"], env).status == 0
    assert noted.read_text() == ("Lua Lua " if how == "finalizer" else "C C ")


@stages
@pytest.mark.parametrize("end", ["os.exit(3)", "os.exit(3, true)", "error('x')", "return"])
def test_the_order_of_what_runs_at_the_end_of_cxx(images, tmp_path, end, stage):
    compare(images, tmp_path, "libcxx_probe", "kept_objects", stage, end)


def test_a_mutex_that_the_warm_up_has_locked(images, tmp_path):
    """As lgi's, which belongs to the thread that has loaded it."""
    assert b"not permitted" not in compare(images, tmp_path, "libc_probe", "held_mutex", USED).out


@stages
def test_what_a_buffer_holds_is_written_at_the_end(images, tmp_path, stage):
    if stage == USED:
        pytest.skip("the file is open: no image")
    path = tmp_path / "file"
    compare(images, tmp_path, "libc_probe", f"unfinished {path}", stage)
    assert path.read_text() == "not flushed\n" * 2  # lua's, and moonlet's


LIMITS = {"1 MB": 1 << 20, "8 MB": 8 << 20, "64 MB": 64 << 20, "unlimited": resource.RLIM_INFINITY}


@early_stages
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("check", ["deep_stack", "main_stack", "thread_stacks", "overflow_here", "overflow_handled"])
def test_any_limit_of_the_stack(images, tmp_path, check, limit, stage):
    if limit == "unlimited" and check.startswith("overflow"):
        pytest.skip("an unlimited stack does not overflow")

    def prepare():
        no_core()
        resource.setrlimit(resource.RLIMIT_STACK, (LIMITS[limit], resource.getrlimit(resource.RLIMIT_STACK)[1]))

    if LIMITS[limit] != resource.RLIM_INFINITY or resource.getrlimit(resource.RLIMIT_STACK)[1] == resource.RLIM_INFINITY:
        compare(images, tmp_path, "libc_probe", check, stage, preexec_fn=prepare)


def two_launches(images, check, stage):
    """What two launches of one image say, and two of lua."""
    image = images(*warm_up_of("libc_probe", check, stage))
    arguments = ["lua", "-e", f"io.write({call_of('libc_probe', check)})"]
    answers = []
    for program, env in Pair(image).programs():
        results = [run(program, arguments, env, preexec_fn=no_core) for _ in range(2)]
        assert all(result.status == 0 and result.err == b"" for result in results), results
        lines = [result.out.decode().replace("destructor of libc_probe\n", "").splitlines() for result in results]
        answers.append([it[-1] for it in lines])
    return answers


@stages
def test_each_launch_has_a_canary_of_its_own(images, stage):
    lua, moonlet = two_launches(images, "show_canary", stage)
    assert lua[0] != lua[1] and moonlet[0] != moonlet[1]
    if not MUSL:
        assert all(canary.endswith("00") for canary in moonlet), "a string's end, so that strings cannot spell it"


@stages
def test_each_launch_has_the_kernel_s_random_bytes(images, stage):
    lua, moonlet = two_launches(images, "random_bytes", stage)
    assert lua[0] != lua[1] and moonlet[0] != moonlet[1]


@stages
def test_the_name_that_was_executed(images, stage):
    image = images(*warm_up_of("libc_probe", "executed_name", stage))
    for program, env in Pair(image).programs():
        said = run(program, ["lua", "-e", f"io.write({call_of('libc_probe', 'executed_name')})"], env).out.decode()
        assert said.splitlines() in ([program, "destructor of libc_probe"], ["destructor of libc_probe", program])


@needs_root
@stages
def test_the_ids_of_another_user(images, tmp_path, open_directory, stage):
    """An image of root's serves everybody, each under his own ids."""
    warm_up = warm_up_of("libc_probe", "auxiliary", stage)
    image = Image(open_directory, *warm_up)
    os.chmod(image.path, 0o644)

    def become_nobody():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65533, 65533, 65533)

    results = [run(program, ["lua", "-e", f"io.write({call_of('libc_probe', 'auxiliary')})"], env, preexec_fn=become_nobody)
               for program, env in Pair(image).programs()]
    assert results[0] == results[1]
    assert b"user: fffd\neffective: fffd\ngroup: fffe\neffective: fffe" in results[1].out


@pytest.mark.parametrize("stage", [None, LOADED, USED])
def test_the_environment_is_the_launch_s(images, tmp_path, stage):
    env = environment(ONLY_HERE="x", HOME=None, **{f"VARIABLE_{i}": "v" * i for i in range(200)})
    image = images(*warm_up_of("libc_probe", "list_variables", stage))
    (lua, lua_env), (moonlet, moonlet_env) = Pair(image).programs(env)
    arguments = ["-e", f"io.write({call_of('libc_probe', 'list_variables')})"]
    expected = run(lua, ["lua", *arguments], lua_env)
    got = run(moonlet, ["lua", *arguments], moonlet_env)
    assert got == expected and b"ONLY_HERE=x\n" in got.out


def at_a_terminal(program, env, script):
    """What the script writes there, in order."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(program, ["lua", str(script)], env)
    shown = b""
    while select.select([terminal], [], [], PATIENCE)[0]:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # nobody has its other end
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    return shown, os.waitpid(pid, 0)[1]


@stages
def test_standard_output_at_a_terminal_is_buffered_by_lines(images, tmp_path, stage):
    script = tmp_path / "script.lua"
    script.write_text(call_of("libc_probe", "mixed"))
    # The warm-up writes to a pipe; what it says is not of interest here.
    image = images(*warm_up_of("libc_probe", "mixed", LOADED if stage == USED else stage))
    shown, status = both(Pair(image), lambda program, env: at_a_terminal(program, env, script))
    assert status == 0 and shown.startswith(b"buffered\r\ndirect\r\n")


@stages
def test_standard_output_in_a_file(images, tmp_path, stage):
    script = tmp_path / "script.lua"
    script.write_text(call_of("libc_probe", "mixed"))
    image = images(*warm_up_of("libc_probe", "mixed", LOADED if stage == USED else stage))

    def scenario(program, env):
        out = tmp_path / "out"
        with open(out, "wb") as file:
            status = subprocess.run(["lua", str(script)], executable=program, env=env, stdout=file, stderr=file).returncode
        return status, out.read_bytes()

    first = b"buffered\n" if MUSL else b"direct\n"  # musl writes the first line at once
    assert both(Pair(image), scenario)[1].startswith(first)


@early_stages
@pytest.mark.parametrize("end", ["", "os.exit(0)", "os.exit(0, true)"])
@pytest.mark.parametrize("check", ["read_line", "put_back"])
def test_what_was_read_ahead_goes_back_to_a_file(images, tmp_path, check, end, stage):
    """POSIX: whoever reads the same open file next goes on behind what the script has taken."""
    script, lines = tmp_path / "script.lua", tmp_path / "lines"
    script.write_text(f"io.write({call_of('libc_probe', check)}) io.write(io.read() or 'none', '\\n') {end}")
    lines.write_text("".join(f"line {number}\n" for number in range(10)))
    image = images(*warm_up_of("libc_probe", check, stage))

    def scenario(program, env):
        with open(lines) as file:
            done = subprocess.run(["sh", "-c", '"$0" "$1"; echo "status $?"; cat', program, str(script)], env=env, stdin=file,
                                  capture_output=True)
        return done.returncode, done.stdout, done.stderr

    both(Pair(image), scenario)


@stages
def test_input_from_a_pipe(images, tmp_path, stage):
    end = "print(io.read(), io.read('*n'), io.read('*a'))"
    compare(images, tmp_path, "libc_probe", "thread_ids", stage, end, input=b"a line\n17 the rest\n")


def test_the_clock_of_the_processor_starts_near_zero(freeze):
    image = freeze("-e", "local t = os.clock() while os.clock() - t < 0.3 do end")
    _, (moonlet, env) = Pair(image).programs()
    assert float(run(moonlet, ["lua", "-e", "print(os.clock())"], env).out) < 0.2


def test_lua_is_the_version_that_was_frozen(images):
    Pair(images())("-e", f"print(_VERSION, jit and jit.version) -- {LUA}")
