#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares the documentation with the programs: man.py BUILD_DIR [SOURCE_DIR]

- the options --help prints (letter, name, arguments, order) are those of the manual page;
- each page has the sections this suite promises and passes mandoc's lint;
- conf/xnbd.conf.example has every key of the tables that xnbd.conf(5) is made of, and no other;
- it has no fault as it is, nor with each alternative that stands in a comment;
- the same of conf/stonith.conf.example and stonith.conf(5), conf/confsync.conf.example and
  confsync.conf(5), conf/backup.conf.example and backup.conf(5), conf/lvm_tools.conf.example and
  lvm_tools.conf(5).

Exit status: 0 good, 1 differences, 2 usage, 77 good but no mandoc here (with CI=true that is 1).
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAMS = {"xnbd-server": "server", "xnbd-wrapper": "wrapper", "xnbd-wrapper-ctl": "wrapper",
            "xnbd-bgctl": "bgctl", "sm-notify": "sm-notify", "xnbd-stonith": "stonith",
            "xnbd-stonithd": "stonith", "fence_xnbd": "stonith", "xnbd-confsync": "confsync",
            "lvm_copy": "lvm", "lvm_snap_create": "lvm", "lvm_snap_remove": "lvm", "lvm_snap_copy": "lvm",
            "lvm_iostat": "lvm", "xnbd-backup": "backup", "xnbd-xen-backup": "scripts"}
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "SIGNALS", "ENVIRONMENT", "FILES", "EXIT STATUS",
            "EXAMPLES", "SEE ALSO", "STANDARDS", "HISTORY"]
CONF_SECTIONS = ["NAME", "DESCRIPTION", "SECTION WRAPPER", "SECTION EXPORT", "SECTION DEFAULTS",
                 "FILES", "EXAMPLES", "SEE ALSO", "HISTORY"]
STONITH_SECTIONS = ["NAME", "DESCRIPTION", "SECTION STONITH", "SECTION PDU", "PROFILES",
                    "SECTION PROFILE", "SECTION NODE", "SECTION PROXY", "SECTION CALLER", "FILES",
                    "EXAMPLES", "SEE ALSO", "HISTORY", "SECURITY CONSIDERATIONS"]
CONFSYNC_SECTIONS = ["NAME", "DESCRIPTION", "SECTION CONFSYNC", "SECTION NODE", "SECTION SET",
                     "FILES", "EXAMPLES", "SEE ALSO", "HISTORY", "SECURITY CONSIDERATIONS"]
BACKUP_SECTIONS = ["NAME", "DESCRIPTION", "SECTION BACKUP", "SECTION DEFAULTS", "SECTION VOLUME",
                   "FILES", "EXAMPLES", "SEE ALSO", "HISTORY", "SECURITY CONSIDERATIONS"]
TOOLS_SECTIONS = ["NAME", "DESCRIPTION", "KEYS", "FILES", "EXAMPLES", "SEE ALSO", "HISTORY"]
SECRETS = "/etc/xnbd/secret/"
EXIT_SKIPPED = 77

faults = []


def fault(where, text):
    faults.append(f"{where}: {text}")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


# Options. An option is (letter or "", long name, arguments in capitals).

def help_options(text):
    row = re.compile(r"^  (?:-(\S), |    )--([a-z][a-z0-9-]*)((?: [A-Z]+(?::[A-Z]+)*)*)(?:  |$)")
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

def check_sections(page, text, sections):
    found = re.findall(r'^\.Sh "?(.*?)"?$', text, re.M)
    for section in sections:
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

ALTERNATIVE = re.compile(r"^(\s*)# (?=(?:[\w-]+ = |include\())")


def known_keys(conf_page):
    """Section -> its keys, as the tables have them."""
    run = subprocess.run([conf_page], capture_output=True, text=True, check=True)
    keys = {}
    for section, key in (line.split() for line in run.stdout.splitlines()):
        keys.setdefault(section, []).append(key)
    return keys


def example_keys(text):
    """The same of the example; alternatives in comments count, prose in comments does not."""
    keys, section = {}, None
    for line in text.splitlines():
        line = ALTERNATIVE.sub(r"\1", line).strip()
        if opens := re.match(r"([\w-]+)(?: \"[^\"]*\")? \{", line):
            section = opens[1]
        elif line == "}":
            section = None
        elif re.match(r"[\w-]+ = ", line):
            keys.setdefault(section, []).extend(re.findall(r"([\w-]+) = ", line))
    return keys


def compare_keys(where, known, found):
    for section in sorted(set(known) | set(found), key=str):
        for key in sorted(set(known.get(section, [])) - set(found.get(section, []))):
            fault(where, f"key {key} of section {section} is missing")
        for key in sorted(set(found.get(section, [])) - set(known.get(section, []))):
            fault(where, f"key {key} of section {section}: there is no such key")


def variants(text):
    """The example as it is, and with each alternative instead of the line of the same key."""
    lines = text.splitlines()
    yield text
    for number, line in enumerate(lines):
        if not ALTERNATIVE.match(line):
            continue
        plain = ALTERNATIVE.sub(r"\1", line)
        key = re.match(r"\s*[\w-]+ = ", plain)
        first = next((i for i in range(number, -1, -1) if lines[i].endswith("{")), 0)
        last = next((i for i in range(number, len(lines)) if lines[i] == "}"), len(lines))
        yield "\n".join(plain if i == number else "" if key and first < i < last
                        and other.startswith(key[0]) else other
                        for i, other in enumerate(lines)) + "\n"


def is_warning(line):
    return "(a warning: " in line


def make_secrets(folder, text):
    """A file for each one that the example names."""
    for name in sorted(set(re.findall(re.escape(SECRETS) + r"([\w.-]+)", text))):
        with open(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT, 0o600), "w",
                  encoding="utf-8") as f:
            f.write("-----BEGIN OPENSSH PRIVATE KEY-----\n" if name.endswith(".key")
                    else "0123456789abcdef\n")


def check_variants(name, text, check):
    with tempfile.TemporaryDirectory(prefix="xnbd-man") as folder:
        path = os.path.join(folder, "example.conf")
        make_secrets(folder, text)
        for variant in variants(text):
            with open(path, "w", encoding="utf-8") as f:
                f.write(variant.replace(SECRETS, folder + "/"))
            run = subprocess.run([*check, path], capture_output=True, text=True, check=False)
            wrong = [line for line in run.stderr.splitlines() if not is_warning(line)]
            for line in wrong:
                fault(name, line.removeprefix(path + ":"))
            if run.returncode != 0 and not wrong:
                fault(name, f"--check: exit status {run.returncode}")


def check_example(source_dir, name, conf_page, check):
    text = read(source_dir, name)
    known = known_keys(conf_page)

    if not known:
        fault(conf_page, "no keys found")
    # Each key of defaults has its meaning explained at exports.
    if "defaults" in known:
        known["defaults"] = [k for k in known["defaults"]
                             if k in example_keys(text).get("defaults", [])]
    compare_keys(name, known, example_keys(text))
    check_variants(name, text, check)


def check_conf_page(source_dir, build_dir, name, sections, conf_page, check):
    """A page of section 5, its example, and the program that knows the keys."""
    made = os.path.join(build_dir, "man", name + ".5")
    check_sections(name + ".5", read(made), sections)
    if shutil.which("mandoc"):
        check_mandoc(name + ".5", made)
    check_example(source_dir, f"conf/{name}.example", os.path.join(build_dir, conf_page), check)


def check_tools_conf(source_dir, build_dir):
    """lvm_tools.conf(5): lines KEY=VALUE, not libconfuse's syntax."""
    name, program = "lvm_tools.conf", os.path.join(build_dir, "lvm/lvm_conf_page")
    made, example = os.path.join(build_dir, "man", name + ".5"), f"conf/{name}.example"
    check_sections(name + ".5", read(made), TOOLS_SECTIONS)
    if shutil.which("mandoc"):
        check_mandoc(name + ".5", made)
    found = re.findall(r"^(\w+)=", read(source_dir, example), re.M)
    compare_keys(example, known_keys(program), {"tools": found})
    run = subprocess.run([program, "--check", os.path.join(source_dir, example)],
                         capture_output=True, text=True, check=False)
    for line in run.stderr.splitlines():
        fault(example, line)


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
        check_sections(page, text, SECTIONS)
        if has_mandoc:
            check_mandoc(page, os.path.join(source_dir, page))
    check_conf_page(source_dir, build_dir, "xnbd.conf", CONF_SECTIONS, "wrapper/conf_page",
                    [binaries["xnbd-wrapper"], "--check", "--config"])
    page = "stonith/stonith_conf_page"
    check_conf_page(source_dir, build_dir, "stonith.conf", STONITH_SECTIONS, page,
                    [os.path.join(build_dir, page), "--check"])
    page = "confsync/confsync_conf_page"
    check_conf_page(source_dir, build_dir, "confsync.conf", CONFSYNC_SECTIONS, page,
                    [os.path.join(build_dir, page), "--check"])
    page = "backup/backup_conf_page"
    check_conf_page(source_dir, build_dir, "backup.conf", BACKUP_SECTIONS, page,
                    [os.path.join(build_dir, page), "--check"])
    check_tools_conf(source_dir, build_dir)
    for line in faults:
        print(line)
    if not faults and not has_mandoc:
        print("mandoc is not installed: the pages were not linted")
        return 1 if os.environ.get("CI") == "true" else EXIT_SKIPPED
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
