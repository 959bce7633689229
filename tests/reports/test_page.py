import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mtlrun.reports._svg import Line, curves, heat_map, thinned
from mtlrun.reports.page import to_page
from mtlrun.reports.results import tables_of
from mtlrun.reports.runs import collect
from tests.reports.run_folders import SINGLE, result, scaled, write_run

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))),
    None,
)  # fmt: skip
TASKS = list(SINGLE)


def write_log(folder: Path, content: dict[str, Any]) -> None:
    lines = []
    for training in content["trainings"]:
        for step in range(1, 301):
            line: dict[str, Any] = {
                "training": training["key"], "title": "", "phase": "train", "step": step, "epoch": 0,
            }  # fmt: skip
            line |= {f"train/{task}/loss": 3 / step for task in training["tasks"]}
            if step % 100 == 0:
                line |= {f"val/{task}/loss": 4 / step for task in training["tasks"]}
            lines.append(json.dumps(line))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"cut')


@pytest.fixture
def page(tmp_path: Path) -> str:
    """Of two methods with three seeds, one with an affinity and two groups."""
    for seed, factor in enumerate((0.95, 1.0, 1.05)):
        for method, own in (("single_task", factor), ("hps", factor + 0.1), ("tag", factor - 0.1)):
            content = result(method, seed, scaled(SINGLE, own))
            if method == "tag":
                groups = [{"tasks": TASKS, "serves": TASKS}, {"tasks": ["depth"], "serves": []}]
                content["plan"]["groups"] = groups
            folder = write_run(tmp_path, content)
            write_log(folder, content)
            if method == "tag":
                affinity = {
                    "tasks": ["segmentation <b>", "depth"], "values": [[1.0, -0.2], [0.3, 1.0]],
                    "num_observations": 7, "kind": "tag", "noise_floor": 1e-7,
                }  # fmt: skip
                (folder / "affinity.json").write_text(json.dumps(affinity))
    collection = collect([tmp_path])
    return to_page(tables_of(collection.runs)[0], remarks=["left out <somewhere>"])


def test_the_page_holds_all_and_asks_for_nothing(page: str) -> None:
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#|data:)|url\(|@import|https?://""", page)
    for text in ("Affinities", "Groups", "Learning curves", "Settings that differ", "Left out"):
        assert text in page
    assert "left out &lt;somewhere&gt;" in page
    assert "segmentation &lt;b&gt;" in page
    assert "7 observations" in page
    assert "(depth)" in page  # trained in the second group, scored in the first


def test_headings_go_down_step_by_step(page: str) -> None:
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_tables_and_figures_have_names(page: str) -> None:
    assert all("aria-label=" in tag for tag in re.findall(r"<svg [^>]*role=\"img\"[^>]*>", page))
    assert page.count('scope="row"') >= 3


def test_curves_are_thinned_to_means_and_keep_their_end() -> None:
    points = [(float(x), float(x)) for x in range(1000)]
    few = thinned(points, 100)
    assert len(few) <= 100
    assert few[-1] == points[-1]
    assert few[0] == (few[0][0], few[0][0])
    assert thinned(points[:5], 100) == points[:5]


def test_drawings_stand_what_is_not_finite_or_flat() -> None:
    assert "nan" not in heat_map(["a", "b"], [[0.0, float("nan")], [0.0, 0.0]], label="x")
    assert "nan" not in curves([Line(0, [(1, 2.0), (2, float("nan")), (3, 2.0)])], label="x")
    assert "<circle" in curves([Line(0, [(1, 0.0)])], label="x")


PROBE = """<script>
window.addEventListener("load", () => {
  const rows = () => [...document.querySelector("table").tBodies[0].rows].map((r) => r.cells[0].innerText);
  const button = [...document.querySelectorAll("th button")].find((b) => b.innerText.startsWith("miou"));
  const found = {before: rows()};
  button.click(); found.once = rows(); found.sort = button.closest("th").getAttribute("aria-sort");
  button.click(); found.twice = rows();
  document.querySelector("th button").click(); found.names = rows();
  found.figures = [...document.querySelectorAll("figure svg")]
    .filter((s) => s.getBoundingClientRect().width > 100 && s.getBoundingClientRect().height > 60).length;
  found.width = innerWidth; found.needed = document.documentElement.scrollWidth;
  parent.postMessage(JSON.stringify(found), "*");
});
</script>"""
# A window is never narrower than 500 pixels, a frame may be.
FRAME = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body style="margin:0">
<iframe src="page.html" style="width:{width}px;height:1600px;border:0"></iframe><script>
addEventListener("message", (event) => { document.body.dataset.found = event.data; });
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_sorts_and_draws_without_an_error(page: str, tmp_path: Path, width: int) -> None:
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.replace("{width}", str(width)), encoding="utf-8")
    shot = tmp_path / "page.png"
    words = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1600",
        "--enable-logging=stderr", "--virtual-time-budget=3000", f"--screenshot={shot}", "--dump-dom",
        frame.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert "CONSOLE" not in done.stderr
    text = re.search(r'data-found="([^"]*)"', done.stdout)
    assert text is not None
    found = json.loads(text[1].replace("&quot;", '"'))
    assert found["before"] == ["single_task", "hps", "tag"]
    assert (found["once"], found["sort"]) == (["hps", "single_task", "tag"], "descending")
    assert found["twice"] == ["tag", "single_task", "hps"]
    assert found["names"] == ["hps", "single_task", "tag"]
    assert found["figures"] == 3  # an affinity, a curve for each of two tasks
    assert found["width"] == width
    assert found["needed"] <= width  # tables scroll, the page does not
    assert shot.stat().st_size > 10_000
