# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of bench/sm-notify: for a terminal, or as Markdown for README.md."""

HEAD = ("defect", "ours", "the distribution's")
SPEED_HEAD = ("speed (medians)", "ours", "the distribution's", "times as good")
SHOWN = {True: "FAULT", False: "good", None: ""}


def judged(seen):
    """"good: told after 0.01 s"; without a judgement what there is to say."""
    return f"{SHOWN[seen.fault]}: {seen.did}" if seen.fault is not None else seen.did


def defect_cells(row, seen):
    return [row.name, *(judged(s) for s in seen.values())]


def text(head, lines):
    """Columns as wide as what is in them."""
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]

    def one(cells):
        return "  ".join(c.ljust(w) for c, w in zip(cells, widths)).rstrip()
    return "\n".join([one(head), "  ".join("-" * w for w in widths), *map(one, lines)])


def markdown(head, lines):
    def one(cells):
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"
    return "\n".join([one(head), "|---" * len(head) + "|", *map(one, lines)])


def count(results):
    """One line: who shows how many of them."""
    shown = {who: sum(seen[who].fault is True for seen in results)
             for who in ("ours", "theirs")}
    tried = {who: sum(seen[who].fault is not None for seen in results)
             for who in ("ours", "theirs")}
    return (f"Defects shown: ours {shown['ours']} of {tried['ours']} tried, "
            f"the distribution's {shown['theirs']} of {tried['theirs']}.")
