"""Random programs, run statement by statement by two libraries with PyTorch's names."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from opinfo.programs.asking import ERRORS, QUESTIONS, answer, differences, memory, numbers, plain
from opinfo.programs.draws import Draws

TABLE = Path(__file__).with_name("statements.txt")
WEIGHTS = {"make": 12, "view": 30, "read": 16, "compute": 18, "write": 34, "grad": 9, "ask": 3}
CONTEXTS = ["", "", "", "", "", "", "", "no_grad", "no_grad", "enable_grad"]
MOST = 12
# What PyTorch looks at before all else.
FIRST = (
    "a leaf Variable that requires grad is being used",
    "functions with out=... arguments don't support",
    "out of DATA bounds",
)
# PyTorch refuses on the CPU, or in one build, what others take.
NARROWER = ("ComplexHalf", "not implemented for", "not supported", "does not support", "only supports")


def statements() -> dict[str, list[str]]:
    """The templates of statements.txt by kind."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in TABLE.read_text().splitlines():
        if line.startswith("["):
            lines = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


STATEMENTS = statements()


class Differs(AssertionError):
    """The two libraries differ: what, in one line."""


class Stopped(Exception):
    """Nothing more can be compared."""


class Side:
    """One library with its tensors by name, and how often each was written to before it had one."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.pool: dict[str, Any] = {}
        self.versions: dict[str, Any] = {}

    def take(self, name: str, tensor: Any) -> None:
        self.pool[name] = tensor
        self.versions[name] = answer(QUESTIONS["_version"], tensor)

    def told(self) -> dict[str, dict[str, Any]]:
        """The answers of every tensor, with which of the others it shares memory."""
        places = {name: memory(x) for name, x in self.pool.items()}
        found = {}
        for name, x in self.pool.items():
            answers = {question: answer(ask, x) for question, ask in QUESTIONS.items()}
            if isinstance(answers["_version"], int) and isinstance(self.versions[name], int):
                answers["_version"] -= self.versions[name]
            answers["shares"] = [other for other, place in places.items() if place and place == places[name]]
            answers["numbers"] = numbers(x)
            found[name] = answers | self._gradient(x)
        return found

    def _gradient(self, x: Any) -> dict[str, Any]:
        if answer(lambda x: x.is_leaf or x.retains_grad, x) is not True:
            return {}
        if x.grad is None:
            return {"grad": None}
        asked = {f"grad's {name}": QUESTIONS[name](x.grad) for name in ("shape", "dtype", "requires_grad")}
        return {"grad": numbers(x.grad), **asked}

    def run(self, name: str, text: str, context: str) -> tuple[Any, Exception | None]:
        """What a statement gives, or the error that it raises."""
        scope = {"T": self.library, **self.pool}
        try:
            if context:
                with getattr(self.library, context)():
                    return self._execute(name, text, scope), None
            return self._execute(name, text, scope), None
        except ERRORS as error:
            return None, error

    def _execute(self, name: str, text: str, scope: dict) -> Any:
        try:
            code = compile(text, name, "eval")
        except SyntaxError:
            exec(compile(text, name, "exec"), scope)
            self.pool.update((name, scope[name]) for name in self.pool)
            return None
        return eval(code, scope)


def builtin(error: Exception | None) -> type:
    """The kind of an error: the builtin class that it derives from."""
    return next(kind for kind in type(error).__mro__ if kind.__module__ == "builtins")


def judge(failed: Exception | None, also: Exception | None) -> None:
    """Do both libraries refuse a statement, for reasons of one kind?

    Errors: Differs if not, Stopped where PyTorch's CPU refuses what others take.
    """
    if any(words in str(failed) for words in NARROWER):
        raise Stopped
    if failed is None or also is None or not _of_one_kind(failed, also):
        names = builtin(failed).__name__, builtin(also).__name__
        raise Differs(f"error {names[0]}; ours {names[1]} | {failed} | {also}")


def _of_one_kind(failed: Exception, also: Exception) -> bool:
    return isinstance(also, builtin(failed)) or any(words in str(failed) for words in FIRST)


class Statement:
    """One line of a program: the name of what it makes, its text, and the context it runs in."""

    def __init__(self, name: str, text: str, context: str) -> None:
        self.name, self.text, self.context = name, text, context

    def __str__(self) -> str:
        text = f"{self.name}: {self.text}"
        return f"with {self.context}: {text}" if self.context else text


def drawn(source: random.Random, pool: dict[str, Any], number: int) -> Statement:
    """A statement that fits the tensors of the pool."""
    kinds = list(WEIGHTS) if pool else ["make"]
    kind = source.choices(kinds, [WEIGHTS[k] for k in kinds])[0]
    templates = STATEMENTS[kind] if pool else [t for t in STATEMENTS["make"] if "{x}" not in t]
    text = Draws(source, pool).fill(source.choice(templates))
    return Statement(f"s{number}", text, source.choice(CONTEXTS))


class Program:
    """A list of statements, run by both libraries side by side; Differs is raised where they part."""

    def __init__(self, first: Any, second: Any) -> None:
        self.sides = (Side(first), Side(second))
        self.done: list[Statement] = []
        self.before: dict[str, dict[str, Any]] = {}

    def step(self, statement: Statement) -> None:
        """Run one statement and compare everything that can be asked."""
        (wanted, failed), (found, also) = [
            side.run(statement.name, statement.text, statement.context) for side in self.sides
        ]
        self.done.append(statement)
        if failed is not None or also is not None:
            judge(failed, also)
        self._take(statement.name, wanted, found)
        self._compare(failed is not None)

    def _take(self, name: str, wanted: Any, found: Any) -> None:
        if "complex32" in str(getattr(wanted, "dtype", "")):
            raise Stopped
        first, second = (side.library.Tensor for side in self.sides)
        several = isinstance(wanted, (list, tuple)) and any(isinstance(part, first) for part in wanted)
        pairs = [(wanted, found)]
        if several:
            if not isinstance(found, (list, tuple)) or len(wanted) != len(found):
                raise Differs(f"results {len(wanted)}; ours {found!r}")
            pairs = list(zip(wanted, found, strict=True))
        for place, (left, right) in enumerate(pairs[:3]):
            if isinstance(left, first) != isinstance(right, second):
                raise Differs(f"a tensor {isinstance(left, first)}; ours {isinstance(right, second)}")
            if not isinstance(left, first):
                if plain(left) != plain(right) and not hasattr(left, "remove"):
                    raise Differs(f"value {plain(left)}; ours {plain(right)}")
                continue
            known = [key for key, x in self.sides[0].pool.items() if x is left]
            if any(self.sides[1].pool[key] is right for key in known) != bool(known):
                raise Differs(f"the same object {bool(known)}; ours not")
            if not known:
                key = f"{name}_{place}" if several else name
                self.sides[0].take(key, left)
                self.sides[1].take(key, right)

    def _compare(self, refused: bool) -> None:
        wanted, found = (side.told() for side in self.sides)
        different = differences(wanted, found)
        if different and refused and not differences(self.before, found):
            # A refusal of PyTorch's after it had begun to write.
            raise Stopped
        self.before = found
        if different:
            raise Differs(different[0])

    def last(self) -> Statement:
        """Backward from everything that has a history."""
        pool = self.sides[0].pool
        roots = [
            name for name, x in pool.items() if x.requires_grad and answer(lambda x: x.is_leaf, x) is False
        ]
        parts = [
            f"({name} * {name}.conj() * {k + 1}).real.sum().to(T.float64)" for k, name in enumerate(roots)
        ]
        return Statement("end", f"({' + '.join(parts) or 'T.zeros(())'}).backward()", "")

    def __str__(self) -> str:
        return "\n".join(map(str, self.done))


def run(program: Program, seed: int) -> None:
    """Draw and run the program of a seed.

    Errors: Differs where the libraries part, Stopped where nothing more can be compared.
    """
    source = random.Random(seed)
    for number in range(source.randint(5, 25)):
        pool = program.sides[0].pool
        if len(pool) > MOST:
            break
        program.step(drawn(source, pool, number))
    program.step(program.last())
