"""What commands show is text, wherever it came from."""

import pytest

from api.cli.output import out, say, table


def test_what_a_file_or_a_server_says_does_not_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from_elsewhere, shown = "\x1b[2J\x9b2J\a\u202e\udcff", r"\x1b[2J\x9b2J\x07\u202e\udcff"
    say(f"it answers 400 {from_elsewhere}")
    refused = table("code")
    refused.add_row(from_elsewhere)
    out.print(refused)
    printed = capsys.readouterr()
    assert printed.err == f"it answers 400 {shown}\n"
    assert printed.out.split() == ["code", shown]
