#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks the rules of HACKING.md that a script can check: layout.py [SOURCE_DIR]

- every .c, .h, .py and .sh begins with its licence, a .c then with a comment on what it is;
- no file over FILE_LINES, no C function over FUNCTION_LINES lines (clang-format's style is assumed:
  the braces of a function stand alone in the first column);
- headers compile alone; nothing is included by "../"; lib includes no program's headers, and no
  program another's.

Exit status: 0 good, 1 violations, 77 all good but no C compiler here (with CI=true that is 1).
"""
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

PROGRAMS = ["server", "wrapper", "bgctl", "sm-notify", "stonith", "confsync", "lvm", "backup"]
LIBRARIES = {"backup": ["lvm"]}  # programs whose core is the library of another one
FOLDERS = ["lib", *PROGRAMS, "tests", "fuzz", "bench", "scripts"]
SUFFIXES = (".c", ".h", ".py", ".sh")
FILE_LINES = 800
FUNCTION_LINES = 70
EXIT_SKIPPED = 77


def files_of(source_dir):
    """Paths relative to SOURCE_DIR; scripts/ has programs without a suffix."""
    found = []
    for folder in FOLDERS:
        for where, _, names in os.walk(os.path.join(source_dir, folder)):
            found += [os.path.relpath(os.path.join(where, name), source_dir)
                      for name in names if name.endswith(SUFFIXES)
                      or (folder == "scripts" and "." not in name)]
    return sorted(found)


def check_start(path, lines):
    first = 1 if lines and lines[0].startswith("#!") else 0
    licence = (r"/\* SPDX-License-Identifier: \S+.* \*/$" if path.endswith((".c", ".h"))
               else r"# SPDX-License-Identifier: \S+")

    if len(lines) <= first or not re.match(licence, lines[first]):
        yield first + 1, "no SPDX-License-Identifier line at the start"
    elif path.endswith(".c") and not (len(lines) > 1 and lines[1].startswith("/*")):
        yield 2, "no comment behind the licence that says what this file is"


def signature_start(lines, brace):
    """Index of the first line of the function whose { is line BRACE."""
    i = brace
    while i > 0 and lines[i - 1] and not re.search(r"^[#}]|\*/$|;$", lines[i - 1]):
        i -= 1
    return i


def check_length(path, lines):
    brace = None
    if len(lines) > FILE_LINES:
        yield len(lines), f"{len(lines)} lines, more than {FILE_LINES}"
    for i, line in enumerate(lines if path.endswith((".c", ".h")) else []):
        if line == "{":
            brace = i
        elif re.match(r"}", line) and brace is not None:
            start = signature_start(lines, brace)
            name = re.search(r"(\w+)\(", " ".join(lines[start:brace]))
            if i - start + 1 > FUNCTION_LINES:
                yield start + 1, (f"{name[1] if name else 'function'}() has {i - start + 1} lines, "
                                  f"more than {FUNCTION_LINES}")
            brace = None


def included(lines):
    for number, line in enumerate(lines, 1):
        if m := re.match(r'\s*#\s*include\s*"([^"]+)"', line):
            yield number, m[1]


def check_includes(path, lines, headers):
    """HEADERS: name of a header -> top folders that have one of this name."""
    own = path.split("/")[0]
    for number, name in included(lines):
        owners = headers.get(os.path.basename(name), set())
        strangers = owners & set(PROGRAMS) - {own, *LIBRARIES.get(own, [])}
        if name.startswith("../") or "/../" in name:
            yield number, f'"{name}": include by name, not by a way through the tree'
        elif own in ["lib", *PROGRAMS] and strangers and not owners & {own, "lib"}:
            yield number, f'"{name}": a header of {", ".join(sorted(strangers))}, not for {own}'


def include_folders(path):
    """Where the compiler looks for the headers that the header PATH includes."""
    folders = [os.path.dirname(path), "lib"]
    if path.split("/")[0] not in ["lib", *PROGRAMS]:
        # Programs may have headers of the same name; tests of one mean its own.
        own = [part for part in path.split("/") if part in PROGRAMS]
        folders += ["tests/lib", *own, *PROGRAMS]
    return folders


def compile_header(compiler, source_dir, path):
    folders = [os.path.join(source_dir, f) for f in include_folders(path)]
    run = subprocess.run(
        [compiler, "-fsyntax-only", "-x", "c", "-std=gnu11", "-Wall", "-Wextra", "-Werror",
         "-D_GNU_SOURCE", *(f"-I{f}" for f in folders), os.path.join(source_dir, path)],
        capture_output=True, text=True, check=False)
    errors = [line for line in run.stderr.splitlines() if " error: " in line]
    if run.returncode != 0:
        yield 1, "does not compile alone: " + (errors[0] if errors else run.stderr.strip())


def compile_headers(compiler, source_dir, paths):
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(lambda p: list(compile_header(compiler, source_dir, p)), paths))


def main():
    if len(sys.argv) > 2:
        print(f"usage: {sys.argv[0]} [SOURCE_DIR]", file=sys.stderr)
        return 2
    here = os.path.dirname(os.path.abspath(__file__))
    source_dir = sys.argv[1] if len(sys.argv) == 2 else os.path.dirname(os.path.dirname(here))
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("cc")
    paths = files_of(source_dir)
    header_paths = [p for p in paths if p.endswith(".h")]
    headers, faults = {}, []

    for path in header_paths:
        headers.setdefault(os.path.basename(path), set()).add(path.split("/")[0])
    for path in paths:
        with open(os.path.join(source_dir, path), encoding="utf-8") as f:
            lines = f.read().split("\n")
        if lines[-1] == "":
            lines.pop()
        checks = [check_start(path, lines), check_length(path, lines)]
        if path.endswith((".c", ".h")):
            checks.append(check_includes(path, lines, headers))
        faults += [(path, *found) for check in checks for found in check]
    if compiler:
        for path, found in zip(header_paths, compile_headers(compiler, source_dir, header_paths)):
            faults += [(path, *one) for one in found]
    for path, line, text in faults:
        print(f"{path}:{line}: {text}")
    print(f"{len(paths)} files, {len(header_paths)} headers, {len(faults)} violations")
    if not paths:
        print(f"no sources in {source_dir}")
        return 1
    if not faults and not compiler:
        print("no C compiler: headers were not compiled")
        return 1 if os.environ.get("CI") == "true" else EXIT_SKIPPED
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
