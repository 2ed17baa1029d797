"""A bar with rate and time left, on a terminal; nothing anywhere else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from api.cli.output import err

Show = Callable[[str, int, int], None]
"""What is worked on, how far, and of how many."""


@contextmanager
def progress_bar(unit: str) -> Iterator[Show]:
    """Shows progress on stderr as long as the block runs; each new name begins a bar anew."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    tasks: dict[str, TaskID] = {}

    def show(name: str, done: int, total: int) -> None:
        if name not in tasks:
            for task in tasks.values():
                bar.update(task, visible=False)
            tasks[name] = bar.add_task(name, rate="")
        speed = bar.tasks[tasks[name]].speed
        rate = f"{speed:,.0f} {unit}/s" if speed else ""
        bar.update(tasks[name], completed=done, total=total, rate=rate)

    with bar:
        yield show


@contextmanager
def steps_bar(steps: int) -> Iterator[Callable[[str], None]]:
    """Shows steps that are counted beforehand, each by its name from when it begins."""
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    task = bar.add_task("", total=steps, completed=-1)

    def begin(name: str) -> None:
        bar.update(task, description=name, advance=1)

    with bar:
        yield begin
