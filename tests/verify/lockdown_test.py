import os
import platform
import struct
import subprocess
import sys

import pytest

from bitzero_jax.verify import lockdown
from bitzero_jax.verify.executor import _breaches

KILL, ALLOW = 0x80000000, 0x7FFF0000
X86_64, AARCH64 = lockdown._TABLES["x86_64"], lockdown._TABLES["aarch64"]


def run_filter(code: bytes, number: int, architecture: int, *args: int) -> int:
  """What the kernel's BPF machine answers for one system call."""
  words = [number, architecture, 0, 0]
  for value in (*args, *[0] * (6 - len(args))):
    words += [value & 0xFFFFFFFF, value >> 32]
  program = list(struct.iter_unpack("=HBBI", code))
  accumulator, at = 0, 0
  while True:
    operation, if_true, if_false, value = program[at]
    at += 1
    if operation == 0x20:
      accumulator = words[value // 4]
    elif operation == 0x06:
      return value
    else:
      test = {
        0x15: accumulator == value,
        0x35: accumulator >= value,
        0x45: bool(accumulator & value),
      }
      at += if_true if test[operation] else if_false


@pytest.mark.parametrize("table", [X86_64, AARCH64])
def test_filter_allows_the_list_and_nothing_else(table):
  architecture, allowed, refused = table
  code = lockdown._filter(*table)
  for number in range(1000):
    answer = run_filter(code, number, architecture, 7, 0, 7)
    if number in refused.values():
      assert answer not in (KILL, ALLOW)
    elif number in allowed.values() and number not in (
      *(allowed[name] for name in ("read", "write", "mmap", "mprotect")),
    ):
      assert answer == ALLOW
    else:
      assert answer == KILL


@pytest.mark.parametrize("table", [X86_64, AARCH64])
def test_filter_looks_at_arguments(table):
  architecture, allowed, _ = table
  code = lockdown._filter(*table)

  def answer(name, *args):
    return run_filter(code, allowed[name], architecture, *args)

  assert answer("read", 0) == ALLOW
  assert answer("read", 1) == KILL
  assert answer("write", 1) == ALLOW
  assert answer("write", 2) == KILL
  for name in ("mmap", "mprotect"):
    assert answer(name, 0, 4096, 3) == ALLOW
    assert answer(name, 0, 4096, 4) == KILL
    assert answer(name, 0, 4096, 7) == KILL


def test_filter_kills_foreign_architectures_and_x32():
  code = lockdown._filter(*X86_64)
  assert run_filter(code, 60, X86_64[0]) == ALLOW
  assert run_filter(code, 60, 0x40000003) == KILL
  assert run_filter(code, 60 | 0x40000000, X86_64[0]) == KILL


def test_tables_name_this_machines_calls():
  """Numbers of the running machine, against the kernel's own header."""
  table = lockdown._TABLES.get(platform.machine())
  source = "#include <sys/syscall.h>\n" + "".join(
    f"{name} SYS_{name}\n" for part in table[1:] for name in part
  )
  try:
    done = subprocess.run(
      ["cc", "-E", "-P", "-"], input=source, capture_output=True, text=True
    )
  except FileNotFoundError:
    pytest.skip("no C preprocessor")
  lines = [line.split() for line in done.stdout.splitlines()]
  numbers = {words[0]: words[1] for words in lines if len(words) == 2}
  for part in table[1:]:
    for name, number in part.items():
      assert numbers[name] == str(number), name


def test_self_test_finds_no_breach():
  assert _breaches(256) == []


def test_self_test_finds_an_open_door(monkeypatch, tmp_path):
  """Without seccomp, the same attempts are reported."""
  folder = os.path.dirname(lockdown.__file__)
  script = tmp_path / "open_door.py"
  script.write_text(
    f"import sys; sys.path.append({folder!r})\n"
    "import lockdown, breach\n"
    "lockdown.lock = lambda memory: ''\n"
    "print([n for n in breach._TRIES if not breach._holds(n, 1 << 28)])\n"
  )
  done = subprocess.run(
    [sys.executable, str(script)], capture_output=True, text=True, check=True
  )
  for name in ("open", "socket", "fork", "kill", "execve", "write to 2"):
    assert repr(name) in done.stdout


def test_sandboxed_is_said_in_words():
  assert lockdown.is_sandboxed("nobody+rlimits+seccomp")
  assert not lockdown.is_sandboxed("nobody+rlimits+no_new_privs")
  assert not lockdown.is_sandboxed("")


def test_the_tier_of_this_machine(executor):
  assert lockdown.is_sandboxed(executor.tier)
  assert "rlimits" in executor.tier.split("+")


@pytest.mark.skipif(os.getuid() != 0, reason="root can see a worker's status")
def test_a_worker_has_no_privileges_and_two_descriptors(executor):
  for pid in executor.worker_pids():
    with open(f"/proc/{pid}/status") as file:
      fields = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    assert fields["Uid"].split() == ["65534"] * 4
    assert fields["Gid"].split() == ["65534"] * 4
    assert fields["CapEff"].strip("0\n") == ""
    assert fields["NoNewPrivs"].strip() == "1"
    assert fields["Seccomp"].strip() == "2"
    assert fields["Threads"].strip() == "1"
    assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1"]
    with open(f"/proc/{pid}/environ") as file:
      names = [item.split("=")[0] for item in file.read().split("\0") if item]
    assert names == ["PYTHONHASHSEED"]
