"""The column of a bar that tells how long the rest will take."""

import math

from rich.progress import Task, TimeRemainingColumn
from rich.text import Text


class TimeLeftColumn(TimeRemainingColumn):
    """The time that a task says is left, by its field `left`; else by its speed."""

    def __init__(self) -> None:
        super().__init__(compact=True)

    def render(self, task: Task) -> Text:
        """Write minutes and seconds, and hours if there are any."""
        if "left" not in task.fields:
            return super().render(task)
        left = task.fields["left"]()
        style = "progress.remaining"
        return Text("--:--" if left is None else describe_left(left), style=style)


def describe_left(seconds: float) -> str:
    """Write a time like 1:02:03, hours only if there are any."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
