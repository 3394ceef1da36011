"""`alternate`: the order of warm-ups and measurements."""

from bench.alternation import Contestant, alternate


class Silent:
    """A display that prints nothing: it keeps the number of expected measurements and the lines."""

    def __init__(self) -> None:
        self.expected = 0
        self.lines: list[str] = []

    def case(self, name: str) -> None: ...

    def expect(self, steps: int) -> None:
        self.expected += steps

    def begins(self, what: str) -> None: ...

    def ends(self, line: str) -> None:
        self.lines.append(line)


class Course:
    """A log of measurements and of calls of `settle`, in order. A measurement's value is its place in the log."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def contestant(self, name: str, *, warms_up: bool = True) -> Contestant:
        return Contestant(name, lambda: self._measured(name), warms_up=warms_up)

    def settle(self) -> None:
        self.events.append("settle")

    def _measured(self, name: str) -> float:
        self.events.append(name)
        return float(len(self.events))


def run(course: Course, *contestants: Contestant, runs: int) -> tuple[dict[str, list[float]], Silent]:
    display = Silent()
    found = alternate(contestants, runs=runs, settle=course.settle, display=display, unit="MiB/s")
    return {name: list(values) for name, values in found.items()}, display


def test_contestants_take_turns_in_every_run() -> None:
    course = Course()
    run(course, course.contestant("a"), course.contestant("b"), runs=2)
    assert [event for event in course.events if event != "settle"] == ["a", "b", "a", "b", "a", "b"]


def test_every_measurement_begins_settled() -> None:
    course = Course()
    run(course, course.contestant("a"), course.contestant("b"), runs=1)
    assert course.events == ["settle", "a", "settle", "b", "settle", "a", "settle", "b"]


def test_what_warms_up_does_not_count() -> None:
    course = Course()
    values, _ = run(course, course.contestant("a"), course.contestant("b"), runs=2)
    assert values == {"a": [6.0, 10.0], "b": [8.0, 12.0]}


def test_who_does_not_warm_up_is_measured_only_as_often_as_it_counts() -> None:
    course = Course()
    values, display = run(course, course.contestant("a"), course.contestant("b", warms_up=False), runs=1)
    assert [event for event in course.events if event != "settle"] == ["a", "a", "b"]
    assert len(values["b"]) == 1
    assert display.expected == 3


def test_display_hears_of_as_many_measurements_as_were_announced() -> None:
    course = Course()
    _, display = run(course, course.contestant("a"), course.contestant("b"), runs=2)
    assert display.expected == len(display.lines) == 6
    assert display.lines[0].startswith("a, warming up")
    assert display.lines[-1].startswith("b, run 2 of 2")
