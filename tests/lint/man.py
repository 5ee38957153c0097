#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares the documentation with the programs: man.py BUILD_DIR [SOURCE_DIR]

- the options --help prints (letter, name, arguments, order) are those of the manual page;
- each page has the sections this suite promises and passes mandoc's lint;
- the keys of conf/xnbd.conf.example and of xnbd-wrapper(8) are those of lib/conf.c;
- the example is taken by xnbd-wrapper --config as it is.

Exit status: 0 good, 1 differences, 2 usage, 77 good but no mandoc here (with CI=true that is 1).
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROGRAMS = {"xnbd-server": "server", "xnbd-wrapper": "wrapper", "xnbd-wrapper-ctl": "wrapper",
            "xnbd-bgctl": "bgctl"}
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "SIGNALS", "ENVIRONMENT", "FILES", "EXIT STATUS",
            "EXAMPLES", "SEE ALSO", "STANDARDS", "HISTORY"]
START_SECONDS = 10
EXIT_SKIPPED = 77

faults = []


def fault(where, text):
    faults.append(f"{where}: {text}")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


# Options. An option is (letter or "", long name, arguments in capitals).

def help_options(text):
    row = re.compile(r"^  (?:-(\S), |    )--([a-z][a-z0-9-]*)((?: [A-Z]+)*)(?:  |$)")
    found = (row.match(line) for line in text.splitlines())
    return [(m[1] or "", m[2], m[3].strip()) for m in found if m]


def page_options(text):
    """Entries of the form: .It Fl l , Fl -lport Ar port"""
    row = re.compile(r"^\.It Fl (?:(\w) , Fl )?-([a-z][a-z0-9-]*)(?: Ar (.*))?$")
    items = [line for line in text.splitlines() if line.startswith(".It Fl ")]
    found = [row.match(line) for line in items]
    return [(m[1] or "", m[2], (m[3] or "").upper()) for m in found if m], [
        line for line, m in zip(items, found) if not m]


def show(option):
    letter, name, arguments = option
    return (f"-{letter}, " if letter else "") + f"--{name}" + (f" {arguments}" if arguments else "")


def compare_options(page, helped, described):
    for option in helped:
        if option not in described:
            fault(page, f"{show(option)}: in --help, has no such .It Fl entry here")
    for option in described:
        if option not in helped:
            fault(page, f"{show(option)}: described here, --help has no such line")
    for option in sorted(set(described)):
        if described.count(option) > 1:
            fault(page, f"{show(option)}: described twice")
    if sorted(helped) == sorted(described) and helped != described:
        first = next(h for h, d in zip(helped, described) if h != d)
        fault(page, f"the order differs from --help, first at {show(first)}")


def check_options(program, binary, page, text):
    run = subprocess.run([binary, "--help"], capture_output=True, text=True, check=False)
    helped = help_options(run.stdout)
    described, odd = page_options(text)
    indented = [line for line in run.stdout.splitlines() if re.match(r"^ +-", line)]

    if run.returncode != 0 or not helped:
        fault(program, f"--help: exit status {run.returncode}, {len(helped)} options")
    if len(indented) != len(helped):
        fault(program, f"--help: {len(indented)} option lines, {len(helped)} understood")
    for line in odd:
        fault(page, f"'{line}': not of the form .It Fl l , Fl -lport Ar port")
    compare_options(page, helped, described)


# Pages.

def check_sections(page, text):
    found = re.findall(r'^\.Sh "?(.*?)"?$', text, re.M)
    for section in SECTIONS:
        if section not in found:
            fault(page, f"section {section} is missing")


def check_mandoc(page, path):
    run = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True,
                         text=True, check=False)
    lines = [line for line in run.stdout.splitlines() if path in line]
    for line in lines:
        fault(page, "mandoc" + line.split(os.path.basename(path), 1)[1])
    if run.returncode != 0 and not lines:
        fault(page, f"mandoc: exit status {run.returncode}: {run.stderr.strip()}")


# Configuration file.

def conf_tables(source):
    """Name of a table in lib/conf.c -> its rows (kind, key, second argument)."""
    tables = {}
    for name, body in re.findall(r"cfg_opt_t (\w+)\[\] = \{(.*?)\n\};", source, re.S):
        tables[name] = re.findall(r"CFG_(\w+?)\(\"([\w-]+)\"(?:, (\w+))?", body)
    return tables


def section_keys(source):
    """Section -> its keys, and the names of all sections and functions."""
    tables = conf_tables(source)
    rows = [row for table in tables.values() for row in table]
    keys = {key: [row[1] for row in tables.get(table, [])]
            for kind, key, table in rows if kind == "SEC"}
    return keys, {key for kind, key, _ in rows if kind in ("SEC", "FUNC")}


def example_keys(text):
    """The same of the example; alternatives in comments count, prose in comments does not."""
    keys, top, section = {}, set(), None
    for line in text.splitlines():
        line = re.sub(r"^(\s*)# (?=(\w+ = |include\())", r"\1", line).strip()
        if opens := re.match(r"([\w-]+)(?: \"[^\"]*\")? \{", line):
            section = opens[1]
            top.add(section)
            keys.setdefault(section, [])
        elif line == "}":
            section = None
        elif function := re.match(r"([\w-]+)\(", line):
            top.add(function[1])
        elif (key := re.match(r"([\w-]+) = ", line)) and key[1] not in keys.get(section, []):
            keys.setdefault(section, []).append(key[1])
    return keys, top


def compare_keys(where, code, found):
    for section in sorted(set(code) | set(found), key=str):
        for key in sorted(set(code.get(section, [])) - set(found.get(section, []))):
            fault(where, f"key {key} of section {section} (lib/conf.c) is missing")
        for key in sorted(set(found.get(section, [])) - set(code.get(section, []))):
            fault(where, f"key {key} of section {section} is not in lib/conf.c")


def check_conf(source_dir):
    keys, top = section_keys(read(source_dir, "lib", "conf.c"))
    example, example_top = example_keys(read(source_dir, "conf", "xnbd.conf.example"))
    page = read(source_dir, "man", "xnbd-wrapper.8")
    part = page.split(".Sh CONFIGURATION FILE\n")[-1].split("\n.Sh ")[0]
    described = re.findall(r"^\.It Cm (\S+)", part, re.M)

    if not any(keys.values()):
        fault("lib/conf.c", "no CFG_ tables found")
    compare_keys("conf/xnbd.conf.example", keys, example)
    for name in sorted(top ^ example_top):
        fault("conf/xnbd.conf.example", f"{name}: is in "
              + ("lib/conf.c only" if name in top else "the example only"))
    compare_keys("man/xnbd-wrapper.8", {"export": keys.get("export", [])}, {"export": described})


def check_example_parses(source_dir, wrapper_binary):
    example = os.path.join(source_dir, "conf", "xnbd.conf.example")
    with tempfile.TemporaryDirectory(prefix="xnbd-man") as folder:
        log_path = os.path.join(folder, "log")
        command = [wrapper_binary, "--config", example, "--socket", os.path.join(folder, "ctl"),
                   "--lsocket", os.path.join(folder, "nbd"),
                   "--dbpath", os.path.join(folder, "state")]
        with open(log_path, "wb") as log:
            wrapper = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while wrapper.poll() is None and time.monotonic() < end:
            if "control socket" in read(log_path):
                wrapper.send_signal(signal.SIGTERM)
                break
            time.sleep(0.02)
        try:
            status = wrapper.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            wrapper.kill()
            status = wrapper.wait()
        if status != 0:
            fault("conf/xnbd.conf.example", f"xnbd-wrapper: status {status}:\n{read(log_path)}")


def main():
    if len(sys.argv) not in (2, 3):
        print(f"usage: {sys.argv[0]} BUILD_DIR [SOURCE_DIR]", file=sys.stderr)
        return 2
    build_dir = sys.argv[1]
    here = os.path.dirname(os.path.abspath(__file__))
    source_dir = sys.argv[2] if len(sys.argv) == 3 else os.path.dirname(os.path.dirname(here))
    has_mandoc = shutil.which("mandoc") is not None
    binaries = {program: os.path.join(build_dir, folder, program)
                for program, folder in PROGRAMS.items()}

    if missing := [path for path in binaries.values() if not os.access(path, os.X_OK)]:
        print(f"not built: {', '.join(missing)}")
        return 1
    for program, binary in binaries.items():
        page = f"man/{program}.8"
        text = read(source_dir, page)
        check_options(program, binary, page, text)
        check_sections(page, text)
        if has_mandoc:
            check_mandoc(page, os.path.join(source_dir, page))
    check_conf(source_dir)
    check_example_parses(source_dir, binaries["xnbd-wrapper"])
    for line in faults:
        print(line)
    if not faults and not has_mandoc:
        print("mandoc is not installed: the pages were not linted")
        return 1 if os.environ.get("CI") == "true" else EXIT_SKIPPED
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
