#!/usr/bin/env python3
"""Draws docs/figures.svg and its Chinese sister from the figures of benches/README.md. Run it where they have changed."""

ROWS = [
    ("A task to a process and back", "一个任务往返一个进程", "µs", [("hands", 1.0), ("procspawn", 66), ("Python Pool", 135), ("ProcessPoolExecutor", 165)]),
    ("Submit to threads, wait, again", "提交给线程、等待、再来", "µs", [("hands", 0.9), ("threadpool", 1.9), ("rayon", 6.0), ("tokio", 39)]),
    ("5,000 × /bin/true, two at a time", "5000 次 /bin/true，两个并行", "s", [("hands run", 2.4), ("xargs -P2", 2.6), ("rust-parallel", 2.9), ("GNU parallel", 12.5)]),
    ("One file of 2 GiB from this machine", "从本机下载一个 2 GiB 文件", "s", [("hands fetch", 1.4), ("wget2", 1.8), ("curl", 2.9), ("aria2", 3.4)]),
]
LEFT, BAR, LINE = 190, 430, 20


def svg(chinese):
    parts, y = [], 16
    for english, translated, unit, bars in ROWS:
        title = translated if chinese else english
        parts.append(f'<text class="title" x="8" y="{y + 12}">{title}</text>')
        y += 20
        most = max(value for _, value in bars)
        for nth, (name, value) in enumerate(bars):
            width = max(2, BAR * value / most)
            parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{name}</text>')
            parts.append(f'<rect class="{"ours" if nth == 0 else "theirs"}" x="{LEFT}" y="{y + 3}" width="{width:.1f}" height="13" rx="2"/>')
            parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 13}">{value:g} {unit}</text>')
            y += LINE
        y += 14
    style = (
        "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600}.ours{fill:#c2410c}.theirs{fill:#94a3b8}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
    )
    label = "越短越好" if chinese else "Shorter is better"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {y}" role="img" aria-label="{label}"><style>{style}</style>{"".join(parts)}</svg>\n'


if __name__ == "__main__":
    import pathlib

    here = pathlib.Path(__file__).parent
    (here / "figures.svg").write_text(svg(False))
    (here / "figures.zh-CN.svg").write_text(svg(True))
