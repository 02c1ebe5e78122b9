"""Takes a process's powers away: uid, limits, namespaces, files, system calls.

Everything is plain system calls through ctypes. Each layer that a platform
lacks is left out and the returned words say so. The floor for unknown code is
seccomp: with it a process can read descriptor 0, write descriptor 1, manage
its own memory and stop, and nothing else.
"""

import contextlib
import ctypes
import errno
import os
import platform
import resource
import struct
import sys

_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_SECCOMP = 21
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_KILL = 0x80000000
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EACCES
_NOBODY = 65534
_STACK_BYTES = 64 << 20  # deep C recursion must not meet a small stack
_CPU_SECONDS = 3600  # a last fence: a worker is replaced long before
_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWNET = 0x20000, 0x8000000, 0x40000000
_PROT_EXEC = 4

# Audit architecture, system calls that are allowed, and those that fail: the
# interpreter itself looks for files, such as the source of a syntax error.
_X86_64 = (
  0xC000003E,
  {
    "read": 0, "write": 1, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12,
    "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
    "sched_yield": 24, "mremap": 25, "madvise": 28, "setitimer": 38,
    "getpid": 39, "exit": 60, "futex": 202, "restart_syscall": 219,
    "clock_gettime": 228, "exit_group": 231, "getrandom": 318, "rseq": 334,
  },
  {
    "open": 2, "stat": 4, "lstat": 6, "access": 21, "getcwd": 79,
    "readlink": 89, "openat": 257, "newfstatat": 262, "statx": 332,
  },
)  # fmt: skip
_AARCH64 = (
  0xC00000B7,
  {
    "read": 63, "write": 64, "exit": 93, "exit_group": 94, "futex": 98,
    "setitimer": 103, "clock_gettime": 113, "sched_yield": 124,
    "restart_syscall": 128, "rt_sigaction": 134, "rt_sigprocmask": 135,
    "rt_sigreturn": 139, "getpid": 172, "brk": 214, "munmap": 215,
    "mremap": 216, "mmap": 222, "mprotect": 226, "madvise": 233,
    "getrandom": 278, "rseq": 293,
  },
  {
    "getcwd": 17, "faccessat": 48, "openat": 56, "readlinkat": 78,
    "newfstatat": 79, "statx": 291,
  },
)  # fmt: skip
_TABLES = {"x86_64": _X86_64, "aarch64": _AARCH64}
_SANDBOXED = "seccomp"


def is_sandboxed(tier: str) -> bool:
  """Whether the words of a tier include the floor."""
  return _SANDBOXED in tier.split("+")


def can_lock() -> bool:
  """Whether this kernel knows the floor; `lock` says whether it stood."""
  if sys.platform != "linux" or platform.machine() not in _TABLES:
    return False
  return _prctl(ctypes.CDLL(None), _PR_GET_SECCOMP) >= 0


def lock(memory_bytes: int) -> str:
  """Locks the calling process for ever. Import everything before.

  Args:
    memory_bytes: address space that may be added to what is in use.

  Returns:
    the layers in force, in words joined by "+".
  """
  libc = ctypes.CDLL(None, use_errno=True)
  layers = []
  if _isolate(libc):
    layers.append("namespaces")
  if os.getuid() == 0:
    with contextlib.suppress(OSError):  # root of a container without powers
      os.setgroups([])
      os.setresgid(_NOBODY, _NOBODY, _NOBODY)
      os.setresuid(_NOBODY, _NOBODY, _NOBODY)
      layers.append("nobody")
  if _limit(memory_bytes):
    layers.append("rlimits")
  if sys.platform == "linux" and _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1) == 0:
    layers.append("no_new_privs")
    if _landlock(libc):
      layers.append("landlock")
    if _seccomp(libc):
      layers.append(_SANDBOXED)
  return "+".join(layers)


def _prctl(libc, option: int, *args) -> int:
  words = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in args]
  words += [ctypes.c_ulong(0)] * (4 - len(words))
  return libc.prctl(option, *words)


def _isolate(libc) -> bool:
  """Leaves the host's network, ipc and mount namespaces, where allowed."""
  if sys.platform != "linux":
    return False
  return libc.unshare(_CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWNS) == 0


def _limit(memory_bytes: int) -> bool:
  """Sets resource limits; True when the address space is bounded."""
  for name, value in (
    ("RLIMIT_CORE", 0),
    ("RLIMIT_FSIZE", 0),
    ("RLIMIT_NPROC", 0),
    ("RLIMIT_MEMLOCK", 0),
    ("RLIMIT_MSGQUEUE", 0),
    ("RLIMIT_CPU", _CPU_SECONDS),
    ("RLIMIT_STACK", _STACK_BYTES),
    ("RLIMIT_NOFILE", 3),
  ):
    which = getattr(resource, name, None)
    if which is None:
      continue
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
      value = min(value, hard)
    with contextlib.suppress(OSError, ValueError):
      resource.setrlimit(which, (value, value))
  used = _address_space()
  if used is None:
    return False
  top = used + memory_bytes + _STACK_BYTES
  try:
    resource.setrlimit(resource.RLIMIT_AS, (top, top))
  except (OSError, ValueError):
    return False
  return True


def _address_space() -> int | None:
  """Bytes of address space in use, or None where nobody says."""
  try:
    with open("/proc/self/statm", "rb") as file:
      return int(file.read().split()[0]) * resource.getpagesize()
  except OSError:
    return None


def _landlock(libc) -> bool:
  """Denies every access to files, and TCP from ABI 4 on."""
  create, restrict = 444, 446
  abi = libc.syscall(create, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
  if abi < 1:
    return False
  files = (
    1 << (13 if abi < 2 else 14 if abi < 3 else 15 if abi < 5 else 16)
  ) - 1
  attributes = (
    struct.pack("=QQ", files, 3) if abi >= 4 else struct.pack("=Q", files)
  )
  ruleset = libc.syscall(
    create, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)
  )
  if ruleset < 0:
    return False
  done = libc.syscall(restrict, ctypes.c_int(ruleset), ctypes.c_uint32(0)) == 0
  os.close(ruleset)
  return done


class _Program(ctypes.Structure):
  _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _seccomp(libc) -> bool:
  """Kills the process at any system call outside the lists."""
  table = _TABLES.get(platform.machine())
  if table is None:
    return False
  code = _filter(*table)
  program = _Program(len(code) // 8, code)
  mode = _SECCOMP_MODE_FILTER
  return _prctl(libc, _PR_SET_SECCOMP, mode, ctypes.byref(program)) == 0


def _filter(
  architecture: int, allowed: dict[str, int], refused: dict[str, int]
) -> bytes:
  """A BPF program over struct seccomp_data: number, architecture, arguments."""
  load, equal, at_least, any_bit, end = 0x20, 0x15, 0x35, 0x45, 0x06

  def line(code, value, if_true=0, if_false=0):
    return struct.pack("=HBBI", code, if_true, if_false, value)

  def argument(index):
    return 16 + 8 * index  # the low word: both machines are little-endian

  lines = [
    line(load, 4),
    line(equal, architecture, 1, 0),
    line(end, _KILL),
    line(load, 0),
    line(at_least, 0x40000000, 0, 1),  # the x32 numbers of x86-64
    line(end, _KILL),
  ]
  checked = {
    "read": (argument(0), equal, 0, True),
    "write": (argument(0), equal, 1, True),
    "mmap": (argument(2), any_bit, _PROT_EXEC, False),
    "mprotect": (argument(2), any_bit, _PROT_EXEC, False),
  }
  for number in refused.values():
    lines += [line(equal, number, 0, 1), line(end, _REFUSE)]
  for name, number in allowed.items():
    if name not in checked:
      lines += [line(equal, number, 0, 1), line(end, _ALLOW)]
      continue
    offset, test, value, wanted = checked[name]
    lines += [
      line(equal, number, 0, 4),
      line(load, offset),
      line(test, value, *((0, 1) if wanted else (1, 0))),
      line(end, _ALLOW),
      line(end, _KILL),
    ]
  return b"".join([*lines, line(end, _KILL)])
