# SPDX-License-Identifier: GPL-2.0-or-later
"""The plot of a run, as SVG: a group of bars for each row, each server's figure as part of the best
one's."""
from xml.sax.saxutils import escape

COLOURS = ["#1b6ca8", "#5aa9e6", "#e07a5f", "#f2cc8f", "#81b29a", "#9d8189", "#444444", "#999999"]
BAR, GAP, TOP, LEFT, WIDTH = 12, 14, 34, 320, 560


def goodness(row, values):
    figure = values.get(row.key)
    if not figure:
        return None
    return 1 / figure if row.less_is_better else figure


def bars(row, summary, servers, y):
    """The elements of one group, and where the next begins."""
    good = {s: goodness(row, summary.get(s, {})) for s in servers}
    best = max((g for g in good.values() if g), default=1)
    parts = [f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(row.name)}</text>']
    for i, server in enumerate(servers):
        if not good[server]:
            continue
        width = max(1, round(good[server] / best * WIDTH))
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{width}" height="{BAR - 2}" '
                     f'fill="{COLOURS[i % len(COLOURS)]}"><title>{escape(server)}</title></rect>')
        y += BAR
    return parts, y + GAP


def legend(servers):
    spans = "".join(f'<tspan fill="{COLOURS[i % len(COLOURS)]}" dx="12">{escape(s)}</tspan>'
                    for i, s in enumerate(servers))
    return f'<text x="10" y="18">{spans}</text>'


def draw(results):
    """RESULTS: (row, summary) pairs. Text of the SVG file."""
    servers = list(dict.fromkeys(s for _, summary in results for s in summary))
    parts, y = [legend(servers)], TOP
    for row, summary in results:
        more, y = bars(row, summary, servers, y)
        parts += more
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 20}" height="{y}" '
            'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" '
            'fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")
