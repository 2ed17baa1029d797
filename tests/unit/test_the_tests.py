"""The rules that our own plugins hold the tests to: skips, scale, figures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = ("-p", "tests.fixtures.fix_skips", "-p", "tests.fixtures.fix_scale")
WITHOUT_OTHERS = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def run(tmp_path: Path, test: str, **environment: str) -> tuple[int, str]:
    (tmp_path / "test_it.py").write_text(f"import pytest\n{test}\n")
    kept = {k: v for k, v in os.environ.items() if k not in ("CI", "TALLY_TEST_SCALE")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGINS, "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        env=kept | WITHOUT_OTHERS | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


SKIPS = """
def test_it():
    pytest.skip("no time")
"""


@pytest.mark.parametrize("skips", [SKIPS, "pytest.skip('all', allow_module_level=True)"])
def test_a_skip_is_a_failure_in_ci(tmp_path: Path, skips: str) -> None:
    code, _ = run(tmp_path, skips)
    assert code in (0, 5)
    code, text = run(tmp_path, skips, CI="true")
    assert code in (1, 2)
    assert "which CI does not allow" in text


def test_a_missing_paysim_file_may_be_skipped_in_ci_too(tmp_path: Path) -> None:
    test = "import tests.fixtures.fix_skips as f\ndef test_it():\n    pytest.skip(f.NO_PAYSIM)"
    assert run(tmp_path, test, CI="true")[0] == 0


def test_counts_scale_and_figures_are_shown(tmp_path: Path) -> None:
    test = "def test_it(scaled, figure):\n    figure('payments made', scaled(5000, least=3))"
    assert "payments made             250  test_it" in run(tmp_path, test)[1]
    assert "payments made           5,000  test_it" in run(tmp_path, test, TALLY_TEST_SCALE="1")[1]


def test_what_is_marked_soak_runs_at_full_count_alone(tmp_path: Path) -> None:
    test = "@pytest.mark.soak\ndef test_it():\n    pass"
    assert "1 deselected" in run(tmp_path, test)[1]
    assert "1 passed" in run(tmp_path, test, TALLY_TEST_SCALE="1")[1]
