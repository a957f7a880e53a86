"""pydantic's complaints about an experiment, as one sentence for the person who wrote it."""

from __future__ import annotations

import json

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from neuralmd.config.schema import find, resembling

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a block of keys",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "a value above {gt}",
    "greater_than_equal": "a value of at least {ge}",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "less_than": "a value below {lt}",
    "less_than_equal": "a value of at most {le}",
    "literal_error": "one of {expected}",
    "model_type": "a block of keys",
    "path_type": "a path",
    "string_pattern_mismatch": "a plain name (letters, digits and _ . + -; it starts with no point or dash)",
    "string_too_long": "a text of at most {max_length} letters",
    "string_too_short": "a text of at least {min_length} letters",
    "string_type": "a text",
    "too_short": "a list of at least {min_length} entries",
    "tuple_type": "a list",
}
"""What was expected, by pydantic's type of error and the words in its context."""

_LONGEST_VALUE = 60


def explain(error: ValidationError) -> tuple[str, str]:
    """The dotted path of the worst problem, and a sentence about it that also counts the others."""
    problems = error.errors(include_url=False)
    # A mistyped key is also a missing one: the first says what to do.
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    path, sentence = _sentence(problems[0])
    others = len(problems) - 1
    more = f" (and {others} more problem{'s' if others > 1 else ''})" if others else ""
    return path, sentence + more


def _sentence(problem: ErrorDetails) -> tuple[str, str]:
    kind, context = problem["type"], problem.get("ctx", {})
    place = find(problem["loc"], unknown=kind == "extra_forbidden")
    path, came = place.path, _came(problem["input"])
    match kind:
        case "extra_forbidden":
            near = resembling(str(problem["loc"][-1]), place)
            kinds = f" for kind {_list(place.kinds_around)}" if place.kinds_around else ""
            hint = f"did you mean '{near}'?" if near else f"known{kinds}: {_list(place.siblings)}"
            sentence = f"unknown key; {hint}"
        case "missing":
            sentence = "expected a value, but there is none"
        case "union_tag_not_found" | "dict_type" | "model_type" | "model_attributes_type" if place.kinds:
            sentence = f"expected a block whose kind is one of {_list(place.kinds)}, but {came} came"
        case "union_tag_invalid":
            path, sentence = f"{path}.kind", f"expected one of {_list(place.kinds)}, but '{context['tag']}' came"
        case "value_error":
            sentence = str(context["error"])
        case _ if kind in _EXPECTED:
            sentence = f"expected {_EXPECTED[kind].format(**context)}, but {came} came"
        case _:
            sentence = f"{problem['msg'][:1].lower()}{problem['msg'][1:]}, but {came} came"
    return path, sentence


def _list(words: list[str]) -> str:
    return ", ".join(words)


def _came(value: object) -> str:
    """What came, as a user would call it."""
    match value:
        case None | bool() | int() | float():
            shown = json.dumps(value)[:_LONGEST_VALUE]
        case str():
            shown = f"the text '{value}'" if len(value) <= _LONGEST_VALUE else f"the text '{value[:_LONGEST_VALUE]}...'"
        case list():
            shown = "a list"
        case dict():
            shown = f"a block with {_list([str(key) for key in value])}" if value else "an empty block"
        case _:
            shown = "something else"
    return shown
